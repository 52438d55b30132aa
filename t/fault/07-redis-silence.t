# Half an answer and then silence, an answer that never comes, a black hole, a closed door, a cut at every byte; and errors of a real Redis.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Test::More;

my $redis = redis();
my $proxy = proxy(to => $redis->port);
my $server = server(
    main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $proxy->url ], [ heartbeat_flush => '200ms' ] ],
    vhosts => [ { name => 'one.test', settings => [ [ heartbeat_ids => 'plain' ] ], locations => { both_endpoints() } } ],
)->start;

is($server->ping('first')->status, 204, 'a ping');
ok(eventually { $redis->seen('one.test', 'first') }, 'reaches Redis through the proxy');

my $turn = 0;

sub survives {
    my ($name, $begin, $end) = @_;
    my $id = 's' . ++$turn;
    subtest $name => sub {
        $begin->();
        my ($asked, $slowest) = (0, 0);
        my $c = $server->connect;
        for my $n (1 .. 20) {
            $asked = now_ms();
            my $r = $c->request('HEAD', '/hb/ping', headers => ["Cookie: hb=$id"]);
            is($r && $r->status, 204, "ping $n"), return if !$r || $r->status != 204;
            my $took = now_ms() - $asked;
            $slowest = $took if $took > $slowest;
            sleep 0.03;
        }
        my $answered = now_ms() - 30;
        cmp_ok($slowest, '<', 500, 'no ping waited');
        sleep 0.3;
        $end->();
        my $beats;
        eventually { ($beats = $redis->beats('one.test', $id) // 0) == 20 } 12;
        is($beats, 20, 'twenty pings, twenty signs of life');
        last_seen_is($redis, 'one.test', $id, $asked, $answered, 'last seen is right');
    };
}

my $pass = sub { $proxy->mode('pass') };
survives('half an answer, then silence', sub { $proxy->mode('half') }, $pass);
survives('an answer lost with its connection', sub { $proxy->mode('drop', close => 1, count => 2) }, $pass);
survives('an answer that never comes', sub { $proxy->mode('hold') }, $pass);
survives('a black hole', sub { $proxy->mode('blackhole') }, $pass);
survives('a closed door', sub { $proxy->mode('refuse') }, $pass);
survives('cut after 1 byte', sub { $proxy->mode('cut', bytes => 1) }, $pass);
survives('cut after 7 bytes', sub { $proxy->mode('cut', bytes => 7) }, $pass);
survives('the script forgotten', sub { $redis->call('SCRIPT', 'FLUSH') }, sub { });

survives('out of memory', sub { $redis->call('CONFIG', 'SET', 'maxmemory', 1) }, sub { $redis->call('CONFIG', 'SET', 'maxmemory', 0) });

survives('a wrong type at the sorted set', sub {
    $redis->call('RENAME', 'hb:{one.test}:seen', 'aside');
    $redis->call('SET', 'hb:{one.test}:seen', 'a word');
}, sub {
    $redis->call('DEL', 'hb:{one.test}:seen');
});

survives('no write allowed', sub { $redis->call('CONFIG', 'SET', 'min-replicas-to-write', 3) }, sub { $redis->call('CONFIG', 'SET', 'min-replicas-to-write', 0) });

no_bad_log_lines();
done_testing;
