// The table of settings itself. Everything that is said of a setting anywhere comes from its row here.
#pragma once

#include "shared/settings/settings.h"

namespace heartbeat {

/// Defined in settings.cc, one for each row.
namespace setting_functions {
extern const SettingFunctions zone, redis, password, prefix, flush, retention, site, session, user, keys, anonymous,
    cookie, ids, track, touch, policy, interval, timeout, idle, grace, rate, keepalive_timeout, keepalive_pings, trim, origin,
    shards, spool, transports, body;
}  // namespace setting_functions

inline constexpr unsigned kAnyNumber = 60;  // httpd hands over at most 64 arguments

inline constexpr Setting kSettingTable[] = {
    {"heartbeat_zone", kMain, 1, 1, "SIZE", "16m",
     "The session table in shared memory, one for each server instance. A change takes effect at a full restart.",
     &setting_functions::zone},
    {"heartbeat_redis", kMain | kVhost, 1, 1, "URL", nullptr,
     "The Redis that keeps the last-seen times: `redis://[user[:password]@]host[:port][/db]` or `unix:/path[?db=N]`. "
     "Without it, they are kept in memory only.",
     &setting_functions::redis},
    {"heartbeat_redis_password_file", kMain | kVhost, 1, 1, "PATH", nullptr,
     "A file that holds the Redis password, so that the configuration does not. Read when the configuration is read.",
     &setting_functions::password},
    {"heartbeat_prefix", kMain | kVhost, 1, 1, "WORD", "hb", "The first part of every Redis key.",
     &setting_functions::prefix},
    {"heartbeat_flush", kMain, 1, 1, "TIME", "1s", "How often changes go to Redis.", &setting_functions::flush},
    {"heartbeat_spool", kMain, 1, 3, "DIR [max=SIZE] [fsync]", nullptr,
     "Where accepted beacons wait on disk until Redis has them, up to SIZE (256m) in all; made if it is not there. With "
     "`fsync` a beacon is answered when the disk has it, else when the kernel has it. See [beacons](beacons.md).",
     &setting_functions::spool},
    {"heartbeat_retention", kVhost, 1, 1, "TIME", "7d", "How long a silent session stays in Redis.",
     &setting_functions::retention},
    {"heartbeat_site", kVhost | kLocation, 1, 1, "NAME", nullptr,
     "The namespace of the sessions; virtual hosts may share one. Default: the name of the virtual host.",
     &setting_functions::site},
    {"heartbeat_session", kVhost | kLocation, 1, kAnyNumber, "SOURCE...", "jwt cookie:hb",
     "Where the session id comes from, first hit wins: `jwt` (a token), `cookie:NAME`, `header:NAME`, `arg:NAME`, "
     "`body:NAME` (of a beat), or the server's own expression (`$variable` in nginx, `expr=%{...}` in Apache).",
     &setting_functions::session},
    {"heartbeat_user", kVhost | kLocation, 1, kAnyNumber, "SOURCE...", "jwt",
     "Where the user's name comes from, if there is one; the same sources. `$remote_user` and `expr=%{REMOTE_USER}` are "
     "the server's own authentication.",
     &setting_functions::user},
    {"heartbeat_key_file", kVhost, 1, kAnyNumber, "PATH...", nullptr,
     "The keys of tokens: a secret of at least 32 bytes, or a PEM file. The first signs, all verify. Read when the "
     "configuration is read.",
     &setting_functions::keys},
    {"heartbeat_anonymous", kVhost, 1, 1, "on|off", "on",
     "`off`: only sessions with a valid token are recorded; a beat without one is refused (403).",
     &setting_functions::anonymous},
    {"heartbeat_cookie", kVhost | kLocation, 1, 1 + 8, "NAME [ATTRIBUTE...]", nullptr,
     "Issues and renews an anonymous signed session in this cookie, with these attributes. Without any: `Path=/`, "
     "`HttpOnly`, `SameSite=Lax`, and `Secure` over https. Needs `heartbeat_key_file`.",
     &setting_functions::cookie},
    {"heartbeat_ids", kVhost, 1, 1, "hash|plain", "hash",
     "What Redis shows for a session: a keyed hash of its id, or the id itself.", &setting_functions::ids},
    {"heartbeat_track", kVhost | kLocation, 1, 1, "on|off", "off",
     "Every request refreshes the last-seen time of its session, after it was answered.", &setting_functions::track},
    {"heartbeat_touch", kVhost | kLocation, 2, 3, "KEY TTL [URL]", nullptr,
     "Keeps the application's own session alive: lengthens the life of a Redis key such as "
     "`PHPREDIS_SESSION:{session}` to TTL (`24m`), where the key exists. `{session}` and `{user}` are replaced. With a "
     "URL, in that Redis. May stand up to four times. See [sessions of your application](application-sessions.md).",
     &setting_functions::touch},
    {"heartbeat_policy", kLocation, 1, 1, "extend|observe|never", "extend",
     "What a request here does: extend the session; only record that it is open; neither.", &setting_functions::policy},
    {"heartbeat_interval", kVhost | kLocation, 1, 1, "TIME", "30s",
     "The time between two beats, as the script is told. Signs of activity that are no more than one and a half of it "
     "apart are one stretch of activity.",
     &setting_functions::interval},
    {"heartbeat_timeout", kVhost | kLocation, 1, 1, "TIME", "90s",
     "Silence after which a session is offline. The keep-alive page refreshes itself every third of it.",
     &setting_functions::timeout},
    {"heartbeat_idle", kVhost | kLocation, 1, 1, "TIME", "10m",
     "How long after the last sign of a human the script goes on beating. See [the script](client.md).",
     &setting_functions::idle},
    {"heartbeat_grace", kVhost, 1, 1, "TIME", "5s",
     "How long after a leave a session is still online: absorbs a navigation to the next page.",
     &setting_functions::grace},
    {"heartbeat_rate", kVhost | kLocation, 1, 2, "RATE [burst=N]|off", "off",
     "How often one session may ping, load the page and beat: `10r/s`, `30r/m`, with up to N (10) ahead of that. Beyond: "
     "429 with `Retry-After`.",
     &setting_functions::rate},
    {"heartbeat_keepalive_timeout", kVhost | kLocationNginx, 1, 1, "TIME", nullptr,
     "How long a connection that pings stays open without a request. Default: the server's own.",
     &setting_functions::keepalive_timeout},
    {"heartbeat_keepalive_pings", kVhost | kLocation, 1, 1, "N", "0",
     "How many consecutive pings a connection may make before it is told to close; 0: no limit. Any other request "
     "starts the count again.",
     &setting_functions::keepalive_pings},
    {"heartbeat_trim", kVhost | kLocation, 1, 1, "on|off", "off",
     "Answers pings and beats on HTTP/1.1 with no header that the protocol can do without.", &setting_functions::trim},
    {"heartbeat_origin", kVhost | kLocation, 1, kAnyNumber, "ORIGIN...|*", nullptr,
     "Who may call from other origins (CORS) and embed the keep-alive page. Default: the same origin only.",
     &setting_functions::origin},
    {"heartbeat_shards", kVhost, 1, 1, "N", "1",
     "Spreads the Redis keys of a site over N tags, for sites with millions online.", &setting_functions::shards},
    {"heartbeat_transports", kVhost | kLocation, 1, kTransports, "NAME...|auto", nullptr,
     "Which ways of sending the script tries when a page is left, in this order: `fetchLater`, `beacon`, `fetch`, `image`. "
     "`auto`: by the loss that is measured. Default: all of them, in the order above; for pages of another origin `fetch` "
     "comes before `beacon`.",
     &setting_functions::transports},
    {"heartbeat_body", kVhost | kLocation, 1, 1, "SIZE", "64k", "The largest body of a beat or a beacon, at most 2m.",
     &setting_functions::body},
};
inline constexpr std::size_t kSettings = sizeof kSettingTable / sizeof kSettingTable[0];

}  // namespace heartbeat
