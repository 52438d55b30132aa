# The ping endpoint: 204, nothing more, and a session recorded if there is one.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Test::More;

my $redis = redis();
my $server = server(
    main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '200ms' ] ],
    vhosts => [ { name => 'one.test', settings => [ [ heartbeat_ids => 'plain' ] ], locations => { both_endpoints() } } ],
)->start;

for my $method (qw(HEAD GET)) {
    subtest "$method" => sub {
        my $c = $server->connect;
        my $r = $c->request($method, '/hb/ping', headers => ['Cookie: hb=alice']);
        ok($r, 'an answer') or return;
        is($r->status, 204, 'status 204');
        is($r->header('cache-control'), 'no-store', 'not stored');
        is($r->header('content-length'), undef, 'no Content-Length');
        is($r->header('content-type'), undef, 'no Content-Type');
        is($r->header('transfer-encoding'), undef, 'no Transfer-Encoding');
        is($r->header('access-control-allow-origin'), undef, 'no CORS header');
        is($c->rest(0.2), '', 'no byte more');
        ok($c->open, 'the connection stays');
        is($c->request($method, '/hb/ping')->status, 204, 'and takes another ping');
    };
}

subtest 'a session is recorded' => sub {
    my $asked = now_ms();
    is($server->ping('bob')->status, 204, 'pinged');
    last_seen_is($redis, 'one.test', 'bob', $asked, now_ms(), 'last seen is right');
    my $s = $redis->session('one.test', 'bob');
    is($s->{beats}, 1, 'one sign of life');
    is($s->{source}, 'ping', 'by a ping');
    is($s->{last_active}, undef, 'and no sign of a human');
    $server->ping('bob') for 1 .. 4;
    is(eventually { ($redis->beats('one.test', 'bob') // 0) == 5 && 5 }, 5, 'five signs of life');
};

subtest 'a human was active' => sub {
    my $asked = now_ms();
    is($server->ping('carol', target => '/hb/ping?t=x&a=1&b=10')->status, 204, 'pinged with a=1');
    my $answered = now_ms();
    my $s = eventually { my $s = $redis->session('one.test', 'carol'); $s->{last_active} && $s };
    ok(Heartbeat::Test::seen_right($s && $s->{last_active}, $asked, $answered), 'last_active is right');
    $server->ping('dave', target => "/hb/ping?$_") for 'a=0', 'xa=1', 'a=10', 'a', '';
    eventually { ($redis->beats('one.test', 'dave') // 0) == 5 };
    is($redis->session('one.test', 'dave')->{last_active}, undef, 'only by a=1');
};

subtest 'no session' => sub {
    my $before = $redis->call('ZCARD', 'hb:{one.test}:seen');
    is($server->ping(undef)->status, 204, 'no cookie: 204');
    is($server->ping('')->status, 204, 'empty cookie: 204');
    is($server->fetch('HEAD', '/hb/ping', headers => ['Cookie: other=1'])->status, 204, 'another cookie: 204');
    sleep 0.7;
    is($redis->call('ZCARD', 'hb:{one.test}:seen'), $before, 'nothing recorded');
};

for my $method (qw(POST PUT DELETE PATCH OPTIONS FOO)) {
    subtest "$method is not there" => sub {
        my $r = $server->fetch($method, '/hb/ping', headers => ['Cookie: hb=nobody'], $method =~ /^P/ ? (body => '') : ());
        ok($r, 'an answer') or return;
        is($r->status, 405, 'status 405');
        is($r->header('allow'), 'HEAD, GET', 'Allow');
        like($r->header('content-type') // '', qr{^text/plain\b}, 'plain text');
        like($r->body, qr/\A[^\n]+\n?\z/, 'one line');
        unlike($r->body, qr/</, 'for people, not a page');
        like($r->header('cache-control') // '', qr/no-store/, 'not stored');
    };
}

sleep 0.5;
is($redis->seen('one.test', 'nobody'), undef, 'a refused request records nobody');

no_bad_log_lines();
done_testing;
