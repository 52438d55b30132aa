# The table is full of sessions that Redis has not heard of: old ones are kept, new ones refused and counted, pings answered.
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
    vhosts => [ { name => 'one.test', settings => [ [ heartbeat_ids => 'plain' ], [ heartbeat_trim => 'on' ] ], locations => { both_endpoints() } } ],
)->start;
sleep 0.5;
$proxy->mode('refuse');

my $answer = "HTTP/1.1 204 No Content\r\n\r\n";

# Pings of id FROM to id TO, pipelined. Returns how many were answered with 204.
sub fill {
    my ($from, $to) = @_;
    my ($c, $good) = ($server->connect(timeout => 20), 0);
    for (my $n = $from; $n <= $to; $n += 100) {
        my $last = $n + 99 < $to ? $n + 99 : $to;
        $c->send(join '', map { $c->request_bytes('HEAD', '/hb/ping', headers => ["Cookie: hb=id$_"]) } $n .. $last);
        for ($n .. $last) { my $r = $c->response('HEAD'); $good++ if $r && $r->raw eq $answer }
    }
    return $good;
}

my $asked = now_ms();
is(fill(1, 1000), 1000, 'a thousand sessions');
my $answered = now_ms();
is(fill(1001, 30_000), 29_000, 'far more than the table holds: every ping is answered');
ok(eventually { $server->error_log =~ /refused/ }, 'the log counts the refused') or diag substr $server->error_log, -2000;
my @lines = $server->error_log =~ /^.*[Hh]eartbeat.*refused.*$/mg;
cmp_ok(scalar @lines, '<', 60, 'at most about once a second (' . @lines . ' lines)');
is(fill(1, 50), 50, 'old sessions are still taken');

$proxy->mode('pass');
my $there;
eventually { $there = grep { defined $redis->seen('one.test', "id$_") } 1 .. 1000; $there == 1000 } 12;
is($there, 1000, 'the old ones reach Redis when it is back');
my $seen = $redis->all_seen('one.test');
my @wrong = grep { !Heartbeat::Test::seen_right($seen->{"id$_"}, $asked, $answered) } 51 .. 1000;
is(scalar @wrong, 0, 'with the times of their pings') or diag "id$wrong[0]: " . ($seen->{"id$wrong[0]"} // 'never') . " asked $asked answered $answered";
is($redis->beats('one.test', 'id1'), 2, 'and their counts');
my $all = $redis->call('ZCARD', 'hb:{one.test}:seen');
cmp_ok($all, '>', 3000, "one MiB held $all sessions");
cmp_ok($all, '<', 30_000, 'and not all of them');

is($server->ping('newcomer')->status, 204, 'a new session afterwards');
ok(eventually { $redis->seen('one.test', 'newcomer') }, 'has its place again');

no_bad_log_lines();
done_testing;
