# Redis answers with errors, garbage, half an answer or nothing: afterwards every count and every time is right.
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

# Pings during the trouble, the end of the trouble, and then the truth.
sub survives {
    my ($name, $id, $begin, $end) = @_;
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
        my $faults = $proxy->stats->{faults};
        $end->();
        my $beats;
        eventually { ($beats = $redis->beats('one.test', $id) // 0) == 20 } 9;
        is($beats, 20, 'twenty pings, twenty signs of life');
        last_seen_is($redis, 'one.test', $id, $asked, $answered, 'last seen is right');
        return $faults;
    };
}

my %raw = (
    LOADING => "-LOADING Redis is loading the dataset in memory\r\n",
    READONLY => "-READONLY You can't write against a read only replica.\r\n",
    OOM => "-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    NOSCRIPT => "-NOSCRIPT No matching script. Please use EVAL.\r\n",
    NOAUTH => "-NOAUTH Authentication required.\r\n",
    BUSY => "-BUSY Redis is busy running a script.\r\n",
    'an unknown error' => "-WHATEVER\r\n",
    'a wrong type' => "*2\r\n+OK\r\n:-1\r\n",
    'a nil' => "\$-1\r\n",
    garbage => "\x00\xff\xfe garbage \r\n\r\n{}",
    'an endless number' => ':' . '9' x 400 . "\r\n",
    'a huge length' => "\$99999999999999\r\nx",
);
my $turn = 0;
for my $name (sort keys %raw) {
    my $mode = $name eq 'LOADING' ? 5 : 2;
    survives("$name in answer to a batch", 'r' . ++$turn,
        sub { $proxy->mode('replace', raw => $raw{$name}, count => $mode) }, sub { $proxy->mode('pass') });
}

# A Redis that says so to everything, also to the greeting of a new connection.
for my $name (qw(LOADING NOAUTH garbage)) {
    survives("$name in answer to everything", 'e' . ++$turn, sub {
        $proxy->mode('refuse');
        $proxy->mode('replace', raw => $raw{$name}, count => 1000, match => '.');
    }, sub { $proxy->mode('pass') });
}

no_bad_log_lines();
done_testing;
