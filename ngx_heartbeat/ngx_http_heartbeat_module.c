/*
 * The entry in nginx's list of modules. It is C because nginx compiles it with its own flags; what it names is
 * defined in module.cc and settings.cc.
 */
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

extern ngx_command_t ngx_heartbeat_commands[];
extern ngx_http_module_t ngx_heartbeat_context;
ngx_int_t ngx_heartbeat_init_process(ngx_cycle_t *cycle);
void ngx_heartbeat_exit_process(ngx_cycle_t *cycle);

ngx_module_t ngx_http_heartbeat_module = {
    NGX_MODULE_V1,
    &ngx_heartbeat_context,
    ngx_heartbeat_commands,
    NGX_HTTP_MODULE,
    NULL,                        /* init master */
    NULL,                        /* init module */
    ngx_heartbeat_init_process,
    NULL,                        /* init thread */
    NULL,                        /* exit thread */
    ngx_heartbeat_exit_process,
    NULL,                        /* exit master */
    NGX_MODULE_V1_PADDING
};
