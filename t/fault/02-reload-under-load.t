# Ten reloads under load: nobody's request fails, nothing is lost or counted twice.
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

my $load = load($server, clients => 4, sessions => 40);
for my $n (1 .. 10) {
    sleep 0.8;
    $server->reload;
}
sleep 1;
my $report = $load->finish;

cmp_ok($report->{acked}, '>', 500, "there was load ($report->{acked} pings, $report->{reconnects} reconnects)");
is(scalar @{ $report->{failed} }, 0, 'no request failed') or diag explain $report->{failed};
cmp_ok(percentile($report, 1), '<', 3, 'none waited');

my $sessions = $report->{sessions};
every_last_seen_is_right($redis, $sessions, 8);
every_ping_is_counted_once($redis, $sessions);

no_bad_log_lines();
done_testing;
