# The shortest answer that keeps the connection usable: 27 bytes.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Test::More;

my $SHORTEST = "HTTP/1.1 204 No Content\r\n\r\n";

my $redis = redis();
my $server = server(
    main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '200ms' ] ],
    vhosts => [ {
        name => 'one.test',
        settings => [ [ heartbeat_ids => 'plain' ], [ heartbeat_trim => 'on' ] ],
        locations => {
            both_endpoints(),
            '/full' => { endpoint => 'ping', settings => [ [ heartbeat_trim => 'off' ] ] },
            '/cors' => { endpoint => 'ping', settings => [ [ heartbeat_origin => 'https://a.example' ] ] },
            '/beat' => { endpoint => 'beat' },
            '/beat/cors' => { endpoint => 'beat', settings => [ [ heartbeat_origin => 'https://a.example' ] ] },
            '/any' => { endpoint => 'ping', settings => [ [ heartbeat_origin => '*' ] ] },
        },
    } ],
)->start;

for my $method (qw(HEAD GET)) {
    subtest $method => sub {
        my $c = $server->connect;
        for my $n (1 .. 3) {
            $c->send($c->request_bytes($method, '/hb/ping', headers => ['Cookie: hb=alice']));
            my $r = $c->response($method);
            is($r && $r->raw, $SHORTEST, "ping $n: 27 bytes");
        }
        is($c->rest(0.2), '', 'not one more');
        ok($c->open, 'the connection stays');
    };
}

is(eventually { ($redis->beats('one.test', 'alice') // 0) == 6 && 6 }, 6, 'the pings are recorded');

subtest 'beats' => sub {
    my $c = $server->connect;
    for my $body ('{"session":"bob","page":"/a"}', 'session=bob&active=0', '{"session":"bob","leave":true}') {
        is($c->request('POST', '/beat', body => $body)->raw, $SHORTEST, "$body: 27 bytes");
    }
    $c->send("POST /beat HTTP/1.1\r\nHost: one.test\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nsession=bob\r\n0\r\n\r\n");
    is($c->response('POST')->raw, $SHORTEST, 'of unknown length, too');
    is($c->rest(0.2), '', 'not one more');
    is(eventually { ($redis->beats('one.test', 'bob') // 0) == 4 && 4 }, 4, 'they are recorded');
    my $r = $server->fetch('POST', '/beat', body => 'session=bob&active=perhaps');
    is($r->status, 400, 'one that cannot be: 400');
    ok($r->header('server') && $r->header('date'), 'with Server and Date');
    $r = $server->fetch('POST', '/beat/cors', body => 'session=bob', headers => ['Origin: https://a.example']);
    is($r->header('access-control-allow-origin'), 'https://a.example', 'CORS headers are kept');
    is($r->header('date'), undef, 'without Date');
};

subtest 'the client will close' => sub {
    my $c = $server->connect;
    my $r = $c->request('HEAD', '/hb/ping', headers => ['Connection: close']);
    is($r->raw, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", 'the answer says that it closes');
    my $took = $c->until_closed(3);
    ok(defined $took && $took < 1, 'and it does');
};

subtest 'pipelined' => sub {
    my $c = $server->connect;
    my $bytes = $c->request_bytes('HEAD', '/hb/ping', headers => ['Cookie: hb=pipe']);
    $c->send($bytes x 20);
    my $all = '';
    eventually { $all .= $c->rest(0.1); length $all >= 20 * 27 };
    is($all, $SHORTEST x 20, 'twenty pings, twenty times 27 bytes');
    is($c->request('GET', '/plain.txt')->body, "ok\n", 'then something else on the same connection');
    is($c->request('HEAD', '/hb/ping')->raw, $SHORTEST, 'then a ping again');
};

subtest 'CORS headers are kept' => sub {
    my $r = $server->fetch('HEAD', '/cors', headers => ['Origin: https://a.example']);
    is($r->status, 204, 'status 204');
    is($r->header('access-control-allow-origin'), 'https://a.example', 'origin');
    is($r->header('access-control-allow-credentials'), 'true', 'credentials');
    is($r->header('server'), undef, 'no Server');
    is($r->header('date'), undef, 'no Date');
    my $c = $server->connect;
    is($c->request('HEAD', '/cors')->raw, $SHORTEST, 'no Origin: the shortest');
    is($c->request('HEAD', '/cors', headers => ['Origin: https://evil.example'])->raw, $SHORTEST, 'another origin: the shortest');
    is($server->fetch('HEAD', '/any', headers => ['Origin: https://x.example'])->header('access-control-allow-origin'), '*', 'any origin');
};

subtest 'off in a location' => sub {
    my $r = $server->fetch('HEAD', '/full');
    is($r->header('cache-control'), 'no-store', 'the full answer');
    ok($r->header('server') && $r->header('date'), 'with Server and Date');
};

subtest 'HTTP/1.0 is answered normally' => sub {
    my $c = $server->connect;
    my $r = $c->request('HEAD', '/hb/ping', version => '1.0');
    is($r->status, 204, 'status 204');
    is($r->header('cache-control'), 'no-store', 'with its headers');
    ok(defined $c->until_closed(2), 'and closes');
    $c = $server->connect;
    $r = $c->request('HEAD', '/hb/ping', version => '1.0', headers => ['Connection: keep-alive']);
    like($r->header('connection') // '', qr/keep-alive/i, 'kept alive if asked');
    is($c->request('HEAD', '/hb/ping', version => '1.0')->status, 204, 'and usable');
};

subtest 'other methods and the page are not trimmed' => sub {
    my $r = $server->fetch('POST', '/hb/ping', body => '');
    is($r->status, 405, 'status 405');
    is($r->header('allow'), 'HEAD, GET', 'with Allow');
    like($server->fetch('GET', '/hb/page')->header('content-security-policy'), qr/frame-ancestors/, 'the page has its headers');
};

subtest 'the access log still works' => sub {
    plan skip_all => 'only the nginx driver writes an access log' if $server->is_apache;
    $server->ping('logged');
    my $line = eventually { Heartbeat::Server::slurp("$server->{dir}/access.log") =~ m{"HEAD /hb/ping HTTP/1.1" 204} };
    ok($line, 'a trimmed ping is in the access log');
};

no_bad_log_lines();
done_testing;
