# Redis killed and started again, with its data or empty: the last-seen times come back right, pings never notice.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Test::More;

for my $case (qw(with-its-data empty)) {
    subtest $case => sub {
        my $redis = redis(persist => $case eq 'with-its-data');
        my $server = server(
            main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '200ms' ] ],
            vhosts => [ {
                name => 'one.test', settings => [ [ heartbeat_ids => 'plain' ] ],
                locations => { both_endpoints(), '/hashed' => { endpoint => 'ping', settings => [ [ heartbeat_site => 'other' ] ] } },
            } ],
        )->start;
        my $before_asked = now_ms();
        is($server->ping('early')->status, 204, 'a session that pings once, before');
        my $before_answered = now_ms();
        ok(eventually { $redis->seen('one.test', 'early') }, 'recorded');

        my $load = load($server, clients => 3, sessions => 30);
        sleep 1.5;
        $redis->kill;
        sleep 2;
        $redis->start;
        sleep 1.5;
        my $report = $load->finish;
        is(scalar @{ $report->{failed} }, 0, 'no request failed') or diag explain $report->{failed};
        cmp_ok(percentile($report, 1), '<', 2, 'none waited');

        my $sessions = $report->{sessions};
        every_last_seen_is_right($redis, $sessions, 10);
        last_seen_is($redis, 'one.test', 'early', $before_asked, $before_answered, 'also of the one that was recorded before', 10);

        my @doubled = grep { ($redis->beats('one.test', $_) // 0) > $sessions->{$_}{acked} } keys %$sessions;
        is(scalar @doubled, 0, 'no counter is doubled') or diag "$doubled[0]: " . $redis->beats('one.test', $doubled[0]) . " of $sessions->{$doubled[0]}{acked}";
        if ($case eq 'with-its-data') {
            my @lost;
            eventually { @lost = grep { ($redis->beats('one.test', $_) // 0) < $sessions->{$_}{acked} } keys %$sessions; !@lost } 5;
            is(scalar @lost, 0, 'and nothing is missing') or diag "$lost[0]: " . $redis->beats('one.test', $lost[0]) . " of $sessions->{$lost[0]}{acked}";
        }
    };
}

subtest 'empty, with hashed ids: no session gets a second name' => sub {
    my $redis = redis();
    my $server = server(
        main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '200ms' ] ],
        vhosts => [ { name => 'one.test', locations => { both_endpoints() } } ],
    )->start;
    $server->ping("s$_") for 1 .. 5;
    ok(eventually { keys %{ $redis->all_seen('one.test') } == 5 }, 'five sessions');
    $redis->kill;
    sleep 0.5;
    $redis->start;
    for (1 .. 4) { $server->ping("s$_") for 1 .. 5; sleep 0.7 }
    ok(eventually(sub { keys %{ $redis->all_seen('one.test') } >= 5 }, 8), 'back after the restart');
    sleep 0.5;
    is(scalar keys %{ $redis->all_seen('one.test') }, 5, 'still five');
};

no_bad_log_lines();
done_testing;
