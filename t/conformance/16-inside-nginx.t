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
            location = /mirrored-beat { mirror /beat; client_body_buffer_size 1k; try_files /plain.txt =404; }
            location = /beat-mirrored { heartbeat beat; mirror /hb/ping; client_body_buffer_size 1k; }
            location = /if/beat { heartbeat beat; heartbeat_body 1k; if ($arg_x) { set $y 1; } }
            location = /if/ping { heartbeat ping; heartbeat_trim off; if ($arg_x) { set $y 1; } }',
        locations => { both_endpoints(), '/beat' => { endpoint => 'beat' } },
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

my $form = 'Content-Type: application/x-www-form-urlencoded';
for my $path ('/mirrored-beat', '/beat-mirrored') {
    for my $size (10, 5000) {
        my $id = "body$size" . ($path =~ tr{/-}{}dr);
        $r = $c->request('POST', $path, body => "session=$id&x=" . 'x' x $size, headers => [$form]);
        like($r->status, qr/^(?:204|405)$/, "$path: a body that another module has read");
        ok(eventually { $redis->seen('one.test', $id) }, "$size bytes of it: recorded");
    }
}
is($c->request('POST', '/beat-mirrored', body => 'x' x 70000, headers => [$form])->status, 413, 'and its limit');
$c = $server->connect;
is($c->request('POST', '/if/beat?x=1', body => 'session=ifbeat', headers => [$form])->status, 204, 'an `if` leaves a beat a beat');
is($c->request('POST', '/if/beat?x=1', body => 'x' x 1025, headers => [$form])->status, 413, 'with its limit');

no_bad_log_lines();
done_testing;
