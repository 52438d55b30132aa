# A corner of nginx alone: what its subrequests, its `if` and its mutex do with an endpoint.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Test::More;

plan skip_all => 'subrequests and `if` in a location are nginx only' if Heartbeat::Server::kind() ne 'nginx';

my $redis = redis();
my $server = server(
    main => [ [ heartbeat_zone => '1m' ], [ heartbeat_flush => '200ms' ], [ heartbeat_redis => $redis->url ], [ heartbeat_ids => 'plain' ] ],
    vhosts => [ {
        name => 'one.test', settings => [ [ heartbeat_trim => 'on' ] ],
        native_nginx => 'location = /guarded { auth_request /hb/ping; return 200 "inside\n"; }
            location = /guarded-file { auth_request /hb/ping; try_files /plain.txt =404; }
            location = /mirrored { mirror /hb/ping; try_files /plain.txt =404; }
            location = /if/ping { heartbeat ping; heartbeat_trim off; if ($arg_x) { set $y 1; } }',
        locations => { both_endpoints() },
    } ],
)->start;

my $c = $server->connect;
for my $path ('/guarded-file', '/mirrored') {
    for my $time (1, 2) {
        my $r = $c->request('GET', $path, headers => ["Cookie: hb=sub"]);
        is($r->status, 200, "$path: the answer is its own ($time)");
        unlike($r->body, qr/HTTP/, 'and nothing else');
    }
}
my $r = $c->request('HEAD', '/if/ping?x=1', headers => ['Cookie: hb=if']);
is($r->status, 204, 'an `if` leaves a ping a ping');
ok(eventually { $redis->seen('one.test', 'if') }, 'which is recorded');
is($c->request('HEAD', '/hb/ping', headers => ['Cookie: hb=plain'])->raw, "HTTP/1.1 204 No Content\r\n\r\n", 'and a trimmed ping of its own is trimmed');

no_bad_log_lines();
done_testing;
