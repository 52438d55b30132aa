# A full stop: what was acknowledged before it is in Redis after it, however long the next flush was away.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Test::More;

my $redis = redis();

for my $way (qw(stop quit)) {
    for my $flush ('200ms', '60s') {
        subtest "$way, with a flush every $flush" => sub {
            $redis->call('FLUSHALL');
            my $server = server(
                main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => $flush ] ],
                vhosts => [ { name => 'one.test', settings => [ [ heartbeat_ids => 'plain' ] ], locations => { both_endpoints() } } ],
            )->start;
            sleep 0.3;
            my $load = load($server, clients => 4, sessions => 200, pause => 0.002);
            sleep 1.5;
            my $report = $load->finish;
            ok($server->$way, 'it stops by itself');
            cmp_ok($report->{acked}, '>', 200, "there was load ($report->{acked} pings)");
            is(scalar @{ $report->{failed} }, 0, 'no request failed');
            my ($seen, $sessions) = ($redis->all_seen('one.test'), $report->{sessions});
            my @wrong = grep { !Heartbeat::Test::seen_right($seen->{$_}, @{ $sessions->{$_} }{qw(asked answered)}) } keys %$sessions;
            is(scalar @wrong, 0, 'every last-seen time is there') or diag explain { map { $_ => [ $seen->{$_}, $sessions->{$_} ] } @wrong[ 0 .. ( @wrong > 3 ? 3 : $#wrong ) ] };
            my @miscounted = grep { ($redis->beats('one.test', $_) // 0) != $sessions->{$_}{acked} } keys %$sessions;
            is(scalar @miscounted, 0, 'and every count') or diag "$miscounted[0]: " . ($redis->beats('one.test', $miscounted[0]) // 0) . " of $sessions->{$miscounted[0]}{acked}";
        };
    }
}

subtest 'a stop while Redis is away does not wait for it' => sub {
    my $proxy = proxy(to => $redis->port);
    for my $mode (qw(refuse blackhole)) {
        $proxy->mode('pass');
        my $server = server(
            main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $proxy->url ], [ heartbeat_flush => '200ms' ] ],
            vhosts => [ { name => 'one.test', locations => { both_endpoints() } } ],
        )->start;
        $server->ping('alice');
        sleep 0.5;
        $proxy->mode($mode);
        $server->ping('bob');
        my $start = time;
        ok($server->stop, "$mode: it stops by itself");
        cmp_ok(time - $start, '<', 5, 'soon');
    }
};

no_bad_log_lines();
done_testing;
