# Redis frozen for ten seconds, then refusing, then silent: pings do not notice, and afterwards every time is right.
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

my $load = load($server, clients => 3, sessions => 60, pause => 0.005);
sleep 3;

# These ping in the middle of the frost and never again: their time must be that of the ping, not of the thaw.
my $frozen = time;
$redis->freeze;
sleep 1;
my %once;
for my $n (1 .. 5) {
    my $asked = now_ms();
    my $r = $server->ping("once$n");
    is($r && $r->status, 204, "a ping at frost second $n");
    $once{"once$n"} = [ $asked, now_ms() ];
    sleep 1.5;
}
sleep 0.1 while time < $frozen + 10;
my $thawed = time;
$redis->thaw;
sleep 2;
my $report = $load->finish;

is(scalar @{ $report->{failed} }, 0, 'no request failed') or diag explain $report->{failed};
my $calm = percentile($report, 0.99, 0, $frozen);
my $during = percentile($report, 0.99, $frozen, $thawed);
my $limit = $calm * 5 > 0.05 ? $calm * 5 : 0.05;
cmp_ok($during, '<', $limit, sprintf '99%% of the pings: %.1f ms before, %.1f ms during', 1000 * $calm, 1000 * $during);
cmp_ok(percentile($report, 1, $frozen, $thawed), '<', 1, 'none waited');

last_seen_is($redis, 'one.test', $_, @{ $once{$_} }, "$_: the time of its ping", 10) for sort keys %once;
my $sessions = $report->{sessions};
every_last_seen_is_right($redis, $sessions, 10);
my @miscounted;
eventually {
    @miscounted = grep {
        my ($s, $beats) = ($sessions->{$_}, $redis->beats('one.test', $_) // 0);
        $beats < $s->{acked} || $beats > $s->{acked} + $s->{unanswered};
    } keys %$sessions;
    !@miscounted;
} 5;
is(scalar @miscounted, 0, 'every ping is counted once') or diag "$miscounted[0]: " . ($redis->beats('one.test', $miscounted[0]) // 0) . " of $sessions->{$miscounted[0]}{acked}";

no_bad_log_lines();
done_testing;
