# The page for a hidden iframe: tiny, never stored, framed by nobody but the allowed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Test::More;

my $redis = redis();
my $server = server(
    main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '200ms' ] ],
    vhosts => [ {
        name => 'one.test',
        settings => [ [ heartbeat_ids => 'plain' ] ],
        locations => {
            both_endpoints(),
            '/listed' => { endpoint => 'page', settings => [ [ heartbeat_origin => 'https://a.example', 'http://b.example:8080' ] ] },
            '/any' => { endpoint => 'page', settings => [ [ heartbeat_origin => '*' ] ] },
        },
    } ],
)->start;

subtest 'GET' => sub {
    my $asked = now_ms();
    my $r = $server->fetch('GET', '/hb/page', headers => ['Cookie: hb=alice']);
    is($r->status, 200, 'status 200');
    like($r->header('content-type'), qr{^text/html\b}, 'HTML');
    is($r->header('cache-control'), 'no-store, no-cache', 'never stored');
    like($r->header('content-security-policy'), qr/frame-ancestors 'self'(?:;|\s*$)/, 'framed by this origin only');
    like($r->body, qr/<!doctype html>/i, 'a page');
    like($r->body, qr/postMessage/, 'that tells its parent');
    unlike($r->body, qr/unload/, 'without an unload handler');
    cmp_ok(length $r->body, '<', 4096, 'tiny');
    is($r->header('access-control-allow-origin'), undef, 'no CORS header');
    last_seen_is($redis, 'one.test', 'alice', $asked, now_ms(), 'the session is recorded');
    is($redis->session('one.test', 'alice')->{source}, 'page', 'by the page');
};

subtest 'HEAD' => sub {
    my $c = $server->connect;
    my $r = $c->request('HEAD', '/hb/page', headers => ['Cookie: hb=bob']);
    is($r->status, 200, 'status 200');
    like($r->header('content-type'), qr{^text/html\b}, 'HTML');
    is($r->header('cache-control'), 'no-store, no-cache', 'never stored');
    is($c->rest(0.2), '', 'no body');
    is($c->request('GET', '/hb/page')->status, 200, 'the connection stays');
};

subtest 'without a session' => sub {
    is($server->fetch('GET', '/hb/page')->status, 200, '200 all the same');
};

subtest 'who may frame it' => sub {
    my $csp = $server->fetch('GET', '/listed')->header('content-security-policy');
    like($csp, qr{frame-ancestors 'self' https://a\.example http://b\.example:8080}, 'this origin and the listed ones');
    $csp = $server->fetch('GET', '/any')->header('content-security-policy');
    like($csp, qr/frame-ancestors \*/, 'anybody where all origins are allowed');
};

subtest 'other methods' => sub {
    my $r = $server->fetch('POST', '/hb/page', body => 'x=1');
    is($r->status, 405, 'status 405');
    like($r->header('allow'), qr/^(?:GET, HEAD|HEAD, GET)$/, 'Allow');
};

subtest 'HTTP/1.0' => sub {
    my $c = $server->connect;
    my $r = $c->request('GET', '/hb/page', version => '1.0');
    is($r->status, 200, 'status 200');
    like($r->body, qr/postMessage/, 'with the page');
    ok(defined $c->until_closed(2), 'and closes');
};

no_bad_log_lines();
done_testing;
