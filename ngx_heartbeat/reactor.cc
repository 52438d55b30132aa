// The core's reactor on nginx's event loop: level-triggered, and with cancelable timers, so that a worker that is
// told to leave stays for no more than the requests it has.
#include "ngx_heartbeat/reactor.h"

namespace heartbeat {
namespace {

struct Timer {
  ngx_event_t event;
  ngx_connection_t connection;  // nginx's debug log asks every event for its descriptor
  TimerHandler* handler;
};

void on_event(ngx_event_t* event) {
  auto* connection = static_cast<ngx_connection_t*>(event->data);
  static_cast<IoHandler*>(connection->data)->on_io(event->write == 0, event->write != 0);
}

void on_timer(ngx_event_t* event) {
  auto* connection = static_cast<ngx_connection_t*>(event->data);
  // A worker that is leaving may take hours over its last request: the lease is for those of the new configuration.
  if (ngx_exiting && event->cancelable) leave();
  else static_cast<Timer*>(connection->data)->handler->on_timer();
}

bool set_active(ngx_event_t* event, ngx_int_t kind, bool wanted) {
  if (wanted == (event->active != 0)) return true;
  return (wanted ? ngx_add_event(event, kind, NGX_LEVEL_EVENT) : ngx_del_event(event, kind, 0)) == NGX_OK;
}

ngx_uint_t level_of(Level level) {
  switch (level) {
    case Level::error:
      return NGX_LOG_ERR;
    case Level::warn:
      return NGX_LOG_WARN;
    case Level::notice:
      return NGX_LOG_NOTICE;
    default:
      return NGX_LOG_INFO;
  }
}

}  // namespace

bool NginxReactor::watch(int fd, bool writable, IoHandler& handler) {
  auto* connection = static_cast<ngx_connection_t*>(handler.reactor_data);
  if (connection == nullptr) {
    connection = ngx_get_connection(fd, log_);
    if (connection == nullptr) return false;
    connection->data = &handler;
    connection->read->handler = connection->write->handler = on_event;
    connection->read->log = connection->write->log = log_;
    handler.reactor_data = connection;
  }
  return set_active(connection->read, NGX_READ_EVENT, true) &&
         set_active(connection->write, NGX_WRITE_EVENT, writable);
}

// The descriptor stays open for its owner to close, so nginx's own ngx_close_connection() is not for us.
void NginxReactor::unwatch(int, IoHandler& handler) {
  auto* connection = static_cast<ngx_connection_t*>(handler.reactor_data);
  if (connection == nullptr) return;
  set_active(connection->read, NGX_READ_EVENT, false);
  set_active(connection->write, NGX_WRITE_EVENT, false);
  for (ngx_event_t* event : {connection->read, connection->write}) {
    if (event->posted) {  // a macro of two statements
      ngx_delete_posted_event(event);
    }
    event->closed = 1;
  }
  ngx_free_connection(connection);
  connection->fd = static_cast<ngx_socket_t>(-1);
  handler.reactor_data = nullptr;
}

void NginxReactor::set_timer(TimerHandler& handler, Millis delay) {
  auto* timer = static_cast<Timer*>(handler.reactor_data);
  if (timer == nullptr) {
    timer = static_cast<Timer*>(ngx_pcalloc(pool_, sizeof(Timer)));
    if (timer == nullptr) return;
    timer->handler = &handler;
    timer->connection.fd = static_cast<ngx_socket_t>(-1);
    timer->connection.data = timer;
    timer->event.data = &timer->connection;
    timer->event.handler = on_timer;
    timer->event.log = log_;
    timer->event.cancelable = duty_ == Duty::background;
    handler.reactor_data = timer;
  }
  if (timer->event.timer_set) ngx_del_timer(&timer->event);
  ngx_add_timer(&timer->event, static_cast<ngx_msec_t>(delay));
}

void NginxReactor::cancel_timer(TimerHandler& handler) {
  auto* timer = static_cast<Timer*>(handler.reactor_data);
  if (timer != nullptr && timer->event.timer_set) ngx_del_timer(&timer->event);
}

void NginxLog::write(Level level, std::string_view message) {
  ngx_str_t text = ngx_text(message);
  ngx_log_error(level_of(level), log_, 0, "%V", &text);
}

}  // namespace heartbeat
