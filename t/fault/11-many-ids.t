# An attacker sends a new session id with every ping: memory stays bounded, honest sessions stay right.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Test::More;

# A million takes too long for every run: HEARTBEAT_IDS=1000000 does it.
my $ids = $ENV{HEARTBEAT_IDS} // (Heartbeat::Server::sanitized() ? 40_000 : 200_000);

my $redis = redis();
my $server = server(
    main => [ [ heartbeat_zone => '4m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '200ms' ] ],
    vhosts => [ {
        name => 'one.test', settings => [ [ heartbeat_ids => 'plain' ], [ heartbeat_trim => 'on' ], [ heartbeat_interval => '2s' ] ],
        locations => { both_endpoints(), '/attacked' => { endpoint => 'ping', settings => [ [ heartbeat_site => 'attacked' ] ] } },
    } ],
    native_main_nginx => "    access_log off;\n",
)->start;

# Memory that belongs to the server alone, of all its processes, in KiB.
sub own_memory {
    my $sum = 0;
    for my $pid ($server->pid, $server->workers) {
        $sum += $1 if Heartbeat::Server::slurp("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m;
    }
    return $sum;
}

# It has been here for three quarters of the interval: a newcomer may have to go, and wait for a place.
is($server->ping('honest')->status, 204, 'an honest session');
sleep 1.8;
is($server->ping('honest')->status, 204, 'that stays');
my $before = own_memory();

my @attackers = map {
    my $n = $_;
    my $file = workplace() . "/attacker$n";
    my $process = Heartbeat::Process->run_code(attacker => sub {
        my $client = $server->connect(timeout => 30);
        my ($sent, $good, $each) = (0, 0, int($ids / 2));
        while ($sent < $each) {
            $client->send(join '', map {"HEAD /attacked HTTP/1.1\r\nHost: one.test\r\nCookie: hb=evil$n-" . ($sent + $_) . "\r\n\r\n"} 1 .. 200);
            my $want = 200 * 27;
            while (length $client->{buffer} < $want) { last if !$client->fill(30) }
            $good += () = substr($client->{buffer}, 0, $want, '') =~ m{HTTP/1\.1 204 No Content\r\n\r\n}g;
            $sent += 200;
            last if $good < $sent;
        }
        Heartbeat::Server::write_file("$file.part", $good);
        rename "$file.part", $file;
    });
    [ $process, $file ];
} 1, 2;

# The honest one pings on all the while.
my ($asked, $answered, $honest, $slowest) = (0, 0, 2, 0);
my $c = $server->connect;
my $deadline = time + 120;
until ((grep { -e $_->[1] } @attackers) == 2 || time > $deadline) {
    $asked = now_ms();
    my $r = $c->request('HEAD', '/hb/ping', headers => ['Cookie: hb=honest']);
    $answered = now_ms();
    if ($r && $r->status == 204) { $honest++ } else { $c = $server->connect }
    $slowest = $answered - $asked if $answered - $asked > $slowest;
    sleep 0.02;
}
my $good = 0;
$good += Heartbeat::Server::slurp($_->[1]) || 0 for @attackers;
is($good, int($ids / 2) * 2, "$ids pings with $ids ids, all answered");
cmp_ok($slowest, '<', 2000, sprintf 'the honest one waited %.0f ms at most', $slowest);
my $grown = own_memory() - $before;
cmp_ok($grown, '<', 64 * 1024, "the server grew by $grown KiB");

last_seen_is($redis, 'one.test', 'honest', $asked, $answered, 'the honest session is right', 15);
my $beats;
eventually { ($beats = $redis->beats('one.test', 'honest') // 0) == $honest } 5;
is($beats, $honest, 'to the last ping');
$_->[0]->stop for @attackers;
is($server->ping('later')->status, 204, 'and the server goes on');

no_bad_log_lines();
done_testing;
