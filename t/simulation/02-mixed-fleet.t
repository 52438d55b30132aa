# Thousands of users come, go and crash on a mixed fleet: two nginx and one Apache with clocks five minutes apart, one
# Redis. Redis is killed twice, once for longer than the timeout, and one host for good. Afterwards every event, every
# user's time and every count is what the script did, exactly once.
# HEARTBEAT_SIMULATION=full: ten thousand users. HEARTBEAT_SEED: another script.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/lib";
use Heartbeat::Test;
use List::Util qw(max min sum0);
use Simulation::Ledger;
use Simulation::Script;
use Simulation::Sender;
use Simulation::Verdict;
use Test::More;
use Time::Piece ();

my $full = ($ENV{HEARTBEAT_SIMULATION} // '') eq 'full';
my $seed = $ENV{HEARTBEAT_SEED} // 1;
my ($users, $seconds, $senders) = $full ? (10_000, 110, 3) : (1500, 52, 2);
# When Redis goes and for how long, and when a host does: seconds from the start.
my ($first_away, $second_away, $host_dies) = $full ? ([ 20, 2 ], [ 60, 8 ], 45) : ([ 6, 2 ], [ 27, 8 ], 20);
my %rules = (interval => 2000, timeout => 6000, grace => 2000, gap => 3000);
my $flush = 500;

# How far a server may be off about the time of a beat: its cached clock, and the way to the clock of Redis.
my $blur = 100;
# An offline event comes after the slack of the sweep and its rhythm, with some room for a busy machine; online with a flush.
# By the manual, and a second and a half for a machine that has other things to do. An online that follows an offline is
# told with it.
my %late = map { $_ => $flush + 250 + 1250 + 1500 } qw(offline online);
# After Redis is back: the longest wait of a link, which has doubled while Redis was away, then the time in which nothing
# is swept.
sub trusted_after { my ($away) = @_; return min(6250, 1.25 * $away + 500) + 8000 }
# What a killed host may take with it: what it had not flushed, or was just flushing.
my $unflushed = $flush + 400;

# --- the fleet ---

my $redis = redis(persist => 1);
my @servers = map {
    my ($kind, $clock) = @$_;
    server(
        kind => $kind, clock => $clock,
        main => [ [ heartbeat_redis => $redis->url ], [ heartbeat_flush => "${flush}ms" ] ],
        vhosts => [ {
            name => 'one.test',
            settings => [
                [ heartbeat_ids => 'plain' ], [ heartbeat_interval => '2s' ], [ heartbeat_timeout => '6s' ], [ heartbeat_grace => '2s' ],
            ],
            locations => { '/hb/beat' => { endpoint => 'beat' }, '/plain.txt' => {} },
        } ],
        native_main_nginx => "    access_log off;\n    keepalive_requests 1000000;\n    keepalive_timeout 300s;\n",
        native_main_apache => "KeepAliveTimeout 300\nMaxKeepAliveRequests 0\n",
    )->start;
} [ nginx => '-300s' ], [ 'apache-event' => '+0s' ], [ nginx => '+300s' ];

sub clocks_are_wrong {
    my ($when) = @_;
    for my $server (grep { $_->{process}->running } @servers) {
        my $date = $server->fetch('GET', '/plain.txt')->header('date');
        my $off = Time::Piece->strptime($date, '%a, %d %b %Y %H:%M:%S GMT')->epoch - time;
        cmp_ok(abs($off - $server->{clock} =~ s/s//r), '<', 3, sprintf '%s: the clock of %s is %.0f s off', $when, $server->name, $off);
    }
}
clocks_are_wrong('first');

# --- the script, and what goes wrong meanwhile ---

my @scripts = Simulation::Script::make(seed => $seed, users => $users, seconds => $seconds, hosts => scalar @servers, %rules);
my %user = map { $_->{id} => $_->{user} } @scripts;
my @part = map { [] } 1 .. $senders;
push @{ $part[ $_ % $senders ] }, $scripts[$_] for 0 .. $#scripts;
my $start = time + 1;
my @begin = (0, now_ms() + 8000);    # the servers have just started: nothing is swept yet
my @senders = map {
    Simulation::Sender->start(ports => [ map { $_->port } @servers ], sessions => $part[$_], start => $start, file => workplace() . "/sender$_")
} 0 .. $#part;

sub wait_until { my ($second) = @_; while ((my $left = $start + $second - time) > 0) { sleep $left } }

my (@away, $killed);
sub redis_away {
    my ($at, $for) = @_;
    wait_until($at);
    my $gone = now_ms();
    $redis->kill;
    wait_until($at + $for);
    $redis->start;
    push @away, [ $gone, now_ms() ];
}
redis_away(@$first_away);
wait_until($host_dies);
$killed = now_ms();
kill 'KILL', -$servers[2]->pid;
redis_away(@$second_away);
wait_until($seconds);
ok(eventually(sub { !grep { !$_->finished } @senders }, 30), 'every beat is sent');

# --- the ledger ---

my @record = sort { $a->{asked} <=> $b->{asked} } map { $_->record } @senders;
my @refused = grep { $_->{host} < 0 || ($_->{status} != 204 && $_->{status} != 0) } @record;
is(scalar @refused, 0, 'no beat was refused') or diag explain [ @refused[ 0 .. min(4, $#refused) ] ];
my @cut = grep { $_->{status} == 0 && !($_->{host} == 2 && abs($_->{answered} - $killed) < 2000) } @record;
is(scalar @cut, 0, 'none went unanswered, but those in the hands of the killed host') or diag explain [ @cut[ 0 .. min(4, $#cut) ] ];
my %sessions = map { $_ => { user => $user{$_}, signs => [] } } keys %user;
for my $beat (grep { $_->{host} >= 0 && $_->{status} =~ /^(?:0|204)$/ } @record) {
    $beat->{sure} = $beat->{status} == 204 && !($beat->{host} == 2 && $beat->{answered} > $killed - $unflushed);
    $beat->{hidden} = $beat->{leave} && grep { $beat->{asked} > $_->[0] - $rules{timeout} && $beat->{asked} < $_->[1] + 8000 } @away;
    my $before = $sessions{ $beat->{id} }{signs}[-1];
    $beat->{crossed} = $beat->{leave} && $before && $before->{host} != $beat->{host} && $beat->{asked} - $before->{answered} < $blur;
    push @{ $sessions{ $beat->{id} }{signs} }, $beat;
}

# --- what Redis holds when all is over ---

my $key = 'hb:{one.test}';
my $trusted = $away[-1][1] + trusted_after($away[-1][1] - $away[-1][0]);
my $over = (max(now_ms() + $rules{timeout}, $trusted) + $late{offline} - now_ms()) / 1000;
ok(eventually(sub { !$redis->call('ZCARD', "$key:online") }, $over), 'in the end everybody is offline');
sleep 1;    # whatever else somebody might write
clocks_are_wrong('last');
my %found = (events => [ read_events() ], users => { @{ $redis->call('HGETALL', "$key:user") } }, online => { @{ $redis->call(qw(ZRANGE), "$key:online", 0, -1, 'WITHSCORES') } });
my @ids = sort keys %sessions;
my @hashes = $redis->client->pipeline(map { [ 'HGETALL', "$key:session:$_" ] } @ids);
$found{session} = { map { $ids[$_] => { @{ $hashes[$_] // [] } } } 0 .. $#ids };
for my $what (qw(open active)) {
    $found{$what} = {};
    for my $name (@{ $redis->call('KEYS', "$key:$what:*") }) {
        $found{$what}{ $name =~ s/.*://r } = { @{ $redis->call('ZRANGE', $name, 0, -1, 'WITHSCORES') } };
    }
}

sub read_events {
    my ($from, @events) = ('-');
    while (1) {
        my @page = @{ $redis->call('XRANGE', "$key:events", $from, '+', 'COUNT', 2000) } or return @events;
        for my $entry (@page) {
            my ($id, $fields) = @$entry;
            push @events, { ms => $id =~ s/-.*//r, @$fields };
            $from = "($id";
        }
    }
}

my $verdict = Simulation::Verdict->judge(
    ledger => Simulation::Ledger->new(%rules, blur => $blur, flush => $flush), gap => $rules{gap}, timeout => $rules{timeout}, late => \%late,
    trouble => [ \@begin, map { [ $_->[0] - $late{offline}, $_->[1] + trusted_after($_->[1] - $_->[0]) ] } @away ], sessions => \%sessions, found => \%found,
);

# --- the verdict ---

for my $kind (Simulation::Verdict::kinds()) {
    my @problems = $verdict->problems($kind);
    is(scalar @problems, 0, 'no ' . Simulation::Verdict::meaning($kind)) or diag join "\n", @problems[ 0 .. min(4, $#problems) ];
}
cmp_ok($verdict->number($_), '>', $users / 10, $verdict->number($_) . " times $_") for 'calm offline', 'calm online', 'troubled offline';
cmp_ok($verdict->number('unclear'), '<=', 2, 'of hardly any session too little is known');
cmp_ok($verdict->number('doubtful'), '<', 0.2 * @ids, 'and of few it is in doubt what happened: ' . $verdict->number('doubtful'));

my $answer = max(map { $_->{answered} - $_->{asked} } grep { $_->{status} == 204 } @record);
my @per_host = map { my $h = $_; scalar grep { $_->{host} == $h } @record } 0 .. $#servers;
diag sprintf '%d users, %d sessions, %d beats (%s to each host; slowest answer %.0f ms), seed %s', $users, scalar @ids,
    $verdict->number('beats'), join('/', @per_host), $answer, $seed;
diag sprintf '%d events and %d times compared; largest error of a time %.0f ms', map { $verdict->number($_) } qw(events times error);
diag sprintf 'written at most %.0f ms after: offline; %.0f ms: online. With Redis away: %.0f ms, %.0f ms',
    map { $verdict->number($_) } 'offline delay', 'online delay', 'troubled offline delay', 'troubled online delay';

no_bad_log_lines();
done_testing;
