# Many virtual hosts, and many ways to name one Redis: each session is stored once, where it belongs.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Test::More;

my $redis = redis();
my @all = ([ heartbeat_zone => '1m' ], [ heartbeat_flush => '200ms' ], [ heartbeat_ids => 'plain' ]);

subtest 'hosts that say nothing of their own have sites of their own' => sub {
    my $server = server(
        main => [ @all, [ heartbeat_redis => $redis->url ] ],
        vhosts => [ map { { name => $_, settings => [], locations => { both_endpoints() } } } qw(a.test b.test c.test) ],
    )->start;
    for my $host (qw(a.test b.test c.test)) {
        my $r = $server->connect(host => $host)->request('HEAD', '/hb/ping', headers => [ "Cookie: hb=of-$host" ]);
        is($r->status, 204, "a ping to $host");
    }
    for my $host (qw(a.test b.test c.test)) {
        ok(eventually { $redis->seen($host, "of-$host") }, "$host has its session");
        is(scalar keys %{ $redis->all_seen($host) }, 1, 'and no other');
    }
    $server->stop;
};

subtest 'one Redis under two names' => sub {
    $redis->call('FLUSHALL');
    my $port = $redis->port;
    my $server = server(
        main => \@all,
        vhosts => [
            { name => 'a.test', settings => [ [ heartbeat_redis => "redis://127.0.0.1:$port" ] ], locations => { both_endpoints() } },
            { name => 'b.test', settings => [ [ heartbeat_redis => "redis://localhost:$port" ] ], locations => { both_endpoints() } },
        ],
    )->start;
    for my $round (1 .. 3) {
        for my $host (qw(a.test a.test b.test)) {
            my $r = $server->connect(host => $host)->request('HEAD', '/hb/ping', headers => [ "Cookie: hb=$host-$round" ]);
            is($r->status, 204, "a ping to $host");
            sleep 0.3;
        }
    }
    for my $host (qw(a.test b.test)) {
        for my $round (1 .. 3) { ok(eventually { $redis->seen($host, "$host-$round") }, "$host, $round: stored") }
    }
    is($redis->beats('a.test', 'a.test-3'), 2, 'each sign of life once');
    $server->stop;
};

subtest 'a busy site does not keep what is past its retention' => sub {
    $redis->call('FLUSHALL');
    my $server = server(
        main => [ @all, [ heartbeat_redis => $redis->url ], [ heartbeat_retention => '1s' ] ],
        vhosts => [ { name => 'one.test', settings => [], locations => { both_endpoints() } } ],
    )->start;
    my $c = $server->connect;
    for my $round (1 .. 4) {
        $c->request('HEAD', '/hb/ping', headers => ["Cookie: hb=r$round-$_"]) for 1 .. 1000;
        sleep 1.2;
    }
    $c->request('HEAD', '/hb/ping', headers => ["Cookie: hb=last-$_"]) for 1 .. 1000;
    ok(eventually { $redis->seen('one.test', 'last-1000') }, 'the last ones are there');
    cmp_ok(scalar keys %{ $redis->all_seen('one.test') }, '<', 3200, 'the first ones are gone');
    $server->stop;
};

subtest 'a user who may not do everything loses nothing' => sub {
    $redis->call('FLUSHALL');
    $redis->call(qw(ACL SETUSER half on >pw ~* +@all -pexpire -zrem -zrangebyscore));
    my $port = $redis->port;
    my $server = server(
        main => [ @all, [ heartbeat_redis => "redis://half:pw\@127.0.0.1:$port" ] ],
        vhosts => [ map { { name => $_, settings => [], locations => { both_endpoints() } } } qw(a.test b.test) ],
    )->start;
    for my $host (qw(a.test b.test)) {
        $server->connect(host => $host)->request('HEAD', '/hb/ping', headers => ['Cookie: hb=half']);
    }
    ok(eventually { $redis->seen($_, 'half') }, "$_: stored") for qw(a.test b.test);
    $server->stop;
};

no_bad_log_lines();
done_testing;
