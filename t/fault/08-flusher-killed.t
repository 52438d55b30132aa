# The worker that flushes is killed between sending a batch and its answer: the batch is applied exactly once.
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

ok($server->ping('warm'), 'a ping');
ok(eventually { $redis->seen('one.test', 'warm') }, 'arrives');

# A known number of pings of each of some sessions, on one connection.
sub pings {
    my ($times, @ids) = @_;
    my ($c, $acked, %at) = ($server->connect, 0);
    for my $id ((@ids) x $times) {
        my $asked = now_ms();
        my $r = $c->request('HEAD', '/hb/ping', headers => ["Cookie: hb=$id"]) or last;
        $acked++ if $r->status == 204;
        $at{$id} = [ $asked, now_ms() ];
    }
    return ($acked, \%at);
}

# The process that has a connection to Redis.
sub the_flusher {
    return eventually { (grep {$_} map { $server->worker_with_port($_) } @{ $proxy->stats->{peers} })[0] } 5;
}

for my $round (1 .. 3) {
    subtest "round $round" => sub {
        my @ids = map {"r$round-$_"} 1 .. 10;
        $proxy->mode('hold');
        my $held = $proxy->stats->{faults};
        my ($acked, $at) = pings(7, @ids);
        is($acked, 70, 'seventy pings acknowledged');
        ok(eventually { $proxy->stats->{faults} > $held }, 'a batch was sent and got no answer') or return;
        my $flusher = the_flusher();
        ok($flusher, 'the process that sent it') or return;
        # Applied by Redis, unanswered by the proxy.
        ok(eventually { $redis->seen('one.test', $ids[0]) }, 'Redis has applied it');
        kill 'KILL', $flusher;
        $proxy->mode('pass');
        my $done;
        eventually { $done = grep { ($redis->beats('one.test', $_) // 0) == 7 } @ids; $done == @ids } 8;
        is($done, 10, 'seven signs of life each, no more and no less')
            or diag join ' ', map { "$_=" . ($redis->beats('one.test', $_) // 'none') } @ids;
        last_seen_is($redis, 'one.test', $_, @{ $at->{$_} }, "$_: last seen is right") for @ids[ 0, 9 ];
        ($acked, $at) = pings(1, @ids);
        is($acked, 10, 'ten more pings');
        eventually { $done = grep { ($redis->beats('one.test', $_) // 0) == 8 } @ids; $done == @ids } 8;
        is($done, 10, 'and the next batch counts on from there');
    };
}

subtest 'killed before Redis got it' => sub {
    my @ids = map {"b-$_"} 1 .. 10;
    $proxy->mode('blackhole');
    my ($acked, $at) = pings(7, @ids);
    is($acked, 70, 'seventy pings acknowledged');
    my $flusher = the_flusher();
    ok($flusher, 'the process that sent it') or return;
    sleep 0.6;
    kill 'KILL', $flusher;
    $proxy->mode('pass');
    my $done;
    eventually { $done = grep { ($redis->beats('one.test', $_) // 0) == 7 } @ids; $done == @ids } 8;
    is($done, 10, 'seven signs of life each') or diag join ' ', map { "$_=" . ($redis->beats('one.test', $_) // 'none') } @ids;
    last_seen_is($redis, 'one.test', $_, @{ $at->{$_} }, "$_: last seen is right") for @ids[ 0, 9 ];
};

no_bad_log_lines(qr/exited on signal 9/, qr/exit signal Killed/);
done_testing;
