# A worker killed under load: the others go on, nothing that was acknowledged is lost, nothing is counted twice.
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

my $clients = 4;
my $load = load($server, clients => $clients, sessions => 40);
my $kills = 6;
for my $n (1 .. $kills) {
    sleep 1.2;
    my @workers = $server->workers;
    kill 'KILL', $workers[ $n % @workers ];
    ok(eventually { my $r = $server->ping("after-kill-$n"); $r && $r->status == 204 }, "kill $n: pings go on");
}
sleep 1;
my $report = $load->finish;

cmp_ok($report->{acked}, '>', 500, "there was load ($report->{acked} pings)");
cmp_ok(scalar @{ $report->{failed} }, '<=', $kills * $clients, 'only requests in the hands of the killed one failed')
    or diag explain $report->{failed};

# A killed flusher's lease runs out after about three seconds.
my $sessions = $report->{sessions};
every_last_seen_is_right($redis, $sessions, 8);

every_ping_is_counted_once($redis, $sessions);
ok($server->stop, 'it still stops as ever');

no_bad_log_lines(qr/exited on signal 9/, qr/exit signal Killed/);
done_testing;
