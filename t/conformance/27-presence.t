# Who came and who went: every event once, with the right fields, at the right time, told as early as the manual says.
# Each scenario has a site of its own and all of them run at once, each twice: on one server, and on three servers over
# one Redis, where each sign of life goes to the next of them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use List::Util qw(max min sum0);
use Test::More;

my ($TIMEOUT, $GRACE, $FLUSH) = (2000, 1000, 100);
my $HOLD_OFF = 8;                                   # seconds: a server that has found its Redis does not look before
my $ROOM = Heartbeat::Server::sanitized() ? 600 : 300;  # ms: what a busy machine may take on top of everything
my $WORST = $FLUSH + 250 + 1250;                    # docs/redis-keys.md
my $FORM = 'Content-Type: application/x-www-form-urlencoded';
my $kind = Heartbeat::Server::kind();
my $other_kind = $kind eq 'nginx' ? 'apache-event' : 'nginx';

# --- the scenarios: signs of life as [second, what, session, body], and the events that follow, in order ---

# `at N + M`: M ms after sign N.
my @scenarios = (
    {
        name => 'silence',
        signs => [ [ 0, 'ping', 's1' ], [ 1.2, 'ping', 's1' ] ],
        events => [ 'online s1 at 1', 'offline s1 at 2 + 2000' ],
    },
    {
        name => 'leave',
        signs => [ [ 0, 'ping', 's1' ], [ 0.8, 'beat', 's1', 'leave=1' ] ],
        events => [ 'online s1 at 1', 'leave s1 at 2', 'offline s1 at 2 + 1000' ],
    },
    {
        name => 'leave-of-a-user',
        signs => [ [ 0, 'beat', 's1', 'user=Ann' ], [ 0.8, 'beat', 's1', 'leave=1' ] ],
        events => [ 'online s1 as Ann at 1', 'user-online Ann at 1', 'leave s1 as Ann at 2', 'offline s1 as Ann at 2 + 1000', 'user-offline Ann at 2 + 1000' ],
    },
    {
        name => 'navigation',
        signs => [ [ 0, 'ping', 's1' ], [ 0.6, 'beat', 's1', 'leave=1' ], [ 1.2, 'page', 's1' ], [ 2, 'beat', 's1', 'leave=1' ], [ 2.5, 'ping', 's1' ] ],
        events => [ 'online s1 at 1', 'offline s1 at 5 + 2000' ],
    },
    {
        name => 'leaves-twice',
        signs => [ [ 0, 'ping', 's1' ], [ 0.5, 'beat', 's1', 'leave=1' ], [ 1, 'ping', 's1' ], [ 1.8, 'beat', 's1', 'leave=1' ] ],
        events => [ 'online s1 at 1', 'leave s1 at 4', 'offline s1 at 4 + 1000' ],
    },
    {
        name => 'back-too-late',
        signs => [ [ 0, 'ping', 's1' ], [ 0.5, 'beat', 's1', 'leave=1' ], [ 2, 'ping', 's1' ] ],
        events => [ 'online s1 at 1', 'leave s1 at 2', 'offline s1 at 2 + 1000', 'online s1 at 3', 'offline s1 at 3 + 2000' ],
    },
    {
        name => 'back-after-silence',
        signs => [ [ 0, 'beat', 's1', 'user=Ann' ], [ 3, 'ping', 's1' ] ],
        events => [ 'online s1 as Ann at 1', 'user-online Ann at 1', 'offline s1 as Ann at 1 + 2000', 'user-offline Ann at 1 + 2000',
            'online s1 as Ann at 2', 'user-online Ann at 2', 'offline s1 as Ann at 2 + 2000', 'user-offline Ann at 2 + 2000' ],
    },
    {
        name => 'two-devices',
        signs => [ [ 0, 'beat', 's1', 'user=Ann' ], [ 0.5, 'beat', 's2', 'user=Ann' ], [ 1, 'beat', 's1', 'leave=1' ], [ 1.8, 'ping', 's2' ] ],
        events => [ 'online s1 as Ann at 1', 'user-online Ann at 1', 'online s2 as Ann at 2', 'leave s1 as Ann at 3', 'offline s1 as Ann at 3 + 1000',
            'offline s2 as Ann at 4 + 2000', 'user-offline Ann at 4 + 2000' ],
    },
    {
        name => 'login',
        signs => [ [ 0, 'ping', 's1' ], [ 0.6, 'beat', 's1', 'user=Ann' ], [ 1.2, 'beat', 's1', 'user=Bob' ] ],
        events => [ 'online s1 at 1', 'user-online Ann at 2', 'user-offline Ann at 3', 'user-online Bob at 3',
            'offline s1 as Bob at 3 + 2000', 'user-offline Bob at 3 + 2000' ],
    },
    {
        name => 'another-user-elsewhere',
        signs => [ [ 0, 'beat', 's1', 'user=Ann' ], [ 0.5, 'beat', 's2', 'user=Ann' ], [ 1, 'beat', 's1', 'user=Bob' ] ],
        events => [ 'online s1 as Ann at 1', 'user-online Ann at 1', 'online s2 as Ann at 2', 'user-online Bob at 3',
            'offline s2 as Ann at 2 + 2000', 'user-offline Ann at 2 + 2000', 'offline s1 as Bob at 3 + 2000', 'user-offline Bob at 3 + 2000' ],
    },
    {
        name => 'goodbye-first',
        signs => [ [ 0, 'beat', 's1', 'leave=1' ] ],
        events => [ 'online s1 at 1', 'leave s1 at 1', 'offline s1 at 1 + 1000' ],
    },
    {
        name => 'timeouts',
        signs => [ [ 0, 'long-ping', 's1' ], [ 0.3, 'short-ping', 's2' ], [ 0.6, 'long-ping', 's3' ], [ 1.2, 'short-ping', 's3' ] ],
        events => [ 'online s1 at 1', 'online s2 at 2', 'online s3 at 3', 'offline s2 at 2 + 1000', 'offline s3 at 4 + 1000', 'offline s1 at 1 + 4000' ],
    },
    {
        name => 'own-polling',
        signs => [ [ 0, 'ping', 's1' ], map({ [ $_ * 0.5, 'never-tracked', 's1' ], [ $_ * 0.5 + 0.1, 'never-ping', 's1' ], [ $_ * 0.5 + 0.2, 'never-beat', 's1', 'user=Ann' ] } 1 .. 5),
            [ 0.3, 'never-tracked', 's2' ], [ 0.7, 'never-ping', 's2' ], [ 1.1, 'never-beat', 's2', 'user=Ann' ] ],
        events => [ 'online s1 at 1', 'offline s1 at 1 + 2000' ],
        check => sub {
            my ($of) = @_;
            is($of->('s1')->{beats}, 1, 'one sign of life');
            is($of->('s1')->{user}, undef, 'no name');
            is_deeply($of->('s2'), {}, 'whoever was only polled for is not known at all');
        },
    },
    {
        name => 'observed',
        signs => [ [ 0, 'ping?a=1', 's1' ], [ 0.6, 'observed-tracked', 's1' ], [ 1.2, 'observed-ping?a=1', 's1' ], [ 1.8, 'observed-beat', 's1', 'active=1' ],
            [ 0.3, 'observed-ping?a=1', 's2' ], [ 1, 'observed-tracked', 's2' ] ],
        events => [ 'online s1 at 1', 'online s2 at 5', 'offline s2 at 6 + 2000', 'offline s1 at 4 + 2000' ],
        check => sub {
            my ($of, @sign) = @_;
            my ($s1, $s2) = ($of->('s1'), $of->('s2'));
            ok(seen_right($s1->{last}, @{ $sign[4] }), 'last moves') or diag explain $s1;
            ok(seen_right($s1->{last_active}, @{ $sign[1] }), 'last_active does not');
            cmp_ok($s1->{active_ms}, '<', 10, 'no activity is counted');
            near($s1->{open_ms}, @sign[ 1, 4 ], 'the time open is');
            is($s1->{beats}, 4, 'four signs of life');
            is_deeply([ grep { exists $s2->{$_} } qw(last_active active_ms) ], [], 'who was only observed was never active');
        },
    },
    {
        name => 'tracked',
        signs => [ [ 0, 'tracked', 's1' ], [ 0.8, 'tracked', 's1' ] ],
        events => [ 'online s1 at 1', 'offline s1 at 2 + 2000' ],
        check => sub {
            my ($of, @sign) = @_;
            ok(seen_right($of->('s1')->{last_active}, @{ $sign[2] }), 'a request that is tracked is activity');
        },
    },
    {
        name => 'last-sign',
        signs => [ [ 0, 'beat', 'ping' ], [ 0.1, 'ping', 'page' ], [ 0.2, 'page', 'beat' ], [ 0.3, 'page', 'request' ],
            [ 0.6, 'ping', 'ping' ], [ 0.7, 'page', 'page' ], [ 0.8, 'beat', 'beat' ], [ 0.9, 'tracked', 'request' ] ],
        check => sub {
            my ($of) = @_;
            is($of->($_)->{source}, $_, "source: $_") for qw(ping page beat request);
            is($of->($_)->{beats}, 2, 'of two') for qw(ping page beat request);
        },
    },
    {
        name => 'where',
        signs => [ [ 0, 'beat', 's1', 'page=/first' ], [ 0.5, 'beat', 's1', 'page=/second' ], [ 1, 'ping', 's1' ], [ 1.5, 'beat', 's1', 'active=0' ],
            [ 0.2, 'beat', 's2', 'page=/' . 'x' x 99 ] ],
        check => sub {
            my ($of) = @_;
            is($of->('s1')->{page}, '/second', 'the last page that was told');
            is($of->('s2')->{page}, '/' . 'x' x 66, 'of 67 bytes');
        },
    },
    {
        name => 'time',
        signs => [ [ 0, 'beat', 's1', 'user=Ann' ], [ 0.8, 'beat', 's1' ], [ 1.6, 'beat', 's1', 'active=0' ], [ 3.2, 'beat', 's1' ],
            [ 0.6, 'beat', 's2', 'user=Ann' ], [ 1.4, 'beat', 's2' ] ],
        check => sub {
            my ($of, @sign) = @_;
            my ($s1, $s2, $day) = ($of->('s1'), $of->('s2'), $of->());
            near($s1->{open_ms}, @sign[ 1, 4 ], 'a session is open from the first sign to the last');
            near($s1->{active_ms}, @sign[ 1, 2 ], 'active where no more than one and a half intervals lie between');
            near($s2->{$_}, @sign[ 5, 6 ], "the other session: $_") for qw(open_ms active_ms);
            near($day->('open', 'Ann'), @sign[ 1, 4 ], 'the time of a user: sessions are merged, not added');
            near($day->('active', 'Ann'), @sign[ 1, 6 ], 'that of activity, too');
        },
    },
);

# Is this the time between two signs, each of which is known as [asked, answered]?
sub near {
    my ($got, $from, $to, $name) = @_;
    my $tolerance = 2 * Heartbeat::Test::tolerance() / 3;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok(defined $got && $got >= $to->[0] - $from->[1] - $tolerance && $got <= $to->[1] - $from->[0] + $tolerance, $name)
        or diag sprintf '%s, expected %.0f', $got // 'undef', $to->[0] - $from->[0];
}

# --- servers ---

my %locations = (ping => 'ping', page => 'page', beat => 'beat', tracked => undef);
my %special = (
    observed => [ heartbeat_policy => 'observe' ], never => [ heartbeat_policy => 'never' ],
    short => [ heartbeat_timeout => '1s' ], long => [ heartbeat_timeout => '4s' ],
);

sub location {
    my ($site, $what) = @_;
    my ($special, $base) = $what =~ /^(?:(\w+)-)?(\w+)/;
    my @settings = ([ heartbeat_site => $site ], $special ? $special{$special} : ());
    return { endpoint => $locations{$base}, settings => \@settings } if $locations{$base};
    return { settings => [ @settings, [ heartbeat_track => 'on' ] ] };
}

sub path { my ($site, $what) = @_; return "/$site/" . $what =~ s/tracked$/tracked.txt/r }

sub started {
    my ($redis, %o) = @_;
    my %paths = map {
        my $site = $_->{name};
        map { my $what = $_->[1] =~ s/\?.*//r; path($site, $what) => location($site, $what) } @{ $_->{signs} };
    } @{ $o{scenarios} // \@scenarios };
    return server(
        kind => $o{kind} // $kind,
        main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => ($o{flush} // $FLUSH) . 'ms' ], [ heartbeat_ids => 'plain' ],
            [ heartbeat_timeout => '2s' ], [ heartbeat_interval => '1s' ], [ heartbeat_grace => '1s' ] ],
        vhosts => [ { name => 'one.test', locations => { %paths, %{ $o{locations} // {} } } } ],
    )->start;
}

my ($one_redis, $three_redis, $restarted_redis, $gone_redis, $off_redis, $slow_redis) = (redis(), redis(), redis(persist => 1), redis(), redis(), redis());
my @one = started($one_redis);
my @three = map { started($three_redis, kind => $_) } $kind, $other_kind, $kind;
my $restarted = started($restarted_redis, locations => { '/ping' => { endpoint => 'ping', settings => [ [ heartbeat_site => 'restarted' ] ] } }, scenarios => []);
my $SLOW = 1000;    # ms between two flushes, as where nothing is set
my $slow = started($slow_redis, flush => $SLOW, locations => { '/ping' => { endpoint => 'ping', settings => [ [ heartbeat_site => 'slow' ] ] } }, scenarios => []);
my ($gone, $off) = map {
    started($_, scenarios => [], locations => {
        map({ ("/$_/beat" => { endpoint => 'beat', settings => [ [ heartbeat_site => $_ ] ] },
            "/$_/tracked.txt" => { settings => [ [ heartbeat_site => $_ ], [ heartbeat_track => 'on' ] ] }) } qw(goes stays)) });
} $gone_redis, $off_redis;

# --- what happens, in the order of time ---

my $zero = time + $HOLD_OFF + 0.7;
my @plan;    # [second, code]
sub at { my ($second, $code) = @_; push @plan, [ $second, $code ] }

# A sign of life; returns when it was asked for and answered, in ms.
sub sign {
    my ($server, $path, $id, $body) = @_;
    my $method = $path =~ /beat$/ ? 'POST' : 'GET';
    my $asked = now_ms();
    my $r = $server->fetch($method, $path, headers => [ "Cookie: hb=$id", $FORM ], $method eq 'POST' ? (body => $body // '') : ());
    my $answered = now_ms();
    like($r && $r->status, qr/^20[04]$/, "$path is answered") if !$r || $r->status !~ /^20[04]$/;
    return [ $asked, $answered ];
}

# The runs of a scenario: {scenario, servers, redis, signs => [undef, [asked, answered], ...]}.
my @runs;
for my $fleet ([ 'one server', $one_redis, @one ], [ 'three servers', $three_redis, @three ]) {
    my ($name, $redis, @servers) = @$fleet;
    for my $scenario (@scenarios) {
        my $run = { scenario => $scenario, name => "$scenario->{name}, $name", redis => $redis, signs => [undef] };
        push @runs, $run;
        my ($turn, $early) = (0, 0.015 * @runs);
        for my $n (sort { $scenario->{signs}[$a][0] <=> $scenario->{signs}[$b][0] } 0 .. $#{ $scenario->{signs} }) {
            my ($second, $what, $id, $body) = @{ $scenario->{signs}[$n] };
            my $server = $servers[ $turn++ % @servers ];
            at($second + $early, sub { $run->{signs}[ $n + 1 ] = sign($server, path($scenario->{name}, $what), $id, $body) });
        }
    }
}

# Redis is stopped and comes back; who goes on is here all the time, who fell silent goes once.
my %restarted_signs;
at(-$HOLD_OFF, sub { push @{ $restarted_signs{silent} }, sign($restarted, '/ping', 'silent') });
my @going_on = map { 0.7 * $_ + 0.15 - $HOLD_OFF } 0 .. 15;
for my $second (@going_on) {
    at($second, sub { push @{ $restarted_signs{stays} }, sign($restarted, '/ping', 'stays') });
}
at(-$HOLD_OFF + 0.5, sub { $restarted_redis->stop });
at(-$HOLD_OFF + 1.2, sub { $restarted_redis->start });

# Many who fall silent one after the other, on a server that takes its time.
my %slow_signs;
for my $n (0 .. 24) {
    at(0.11 * $n, sub { $slow_signs{"s$n"} = sign($slow, '/ping', "s$n") });
}

# A site leaves the configuration; and all of presence does.
my %left_behind;
at(-$HOLD_OFF, sub {
    for my $server ($gone, $off) {
        push @{ $left_behind{$server} }, map { sign($server, "/$_/beat", 's1', 'user=Ann'), sign($server, "/$_/tracked.txt", 's2') } qw(goes stays);
    }
});
at(-$HOLD_OFF + 0.4, sub {
    delete $gone->{vhosts}[0]{locations}{$_} for grep {m{^/goes/}} keys %{ $gone->{vhosts}[0]{locations} };
    $off->{vhosts}[0]{locations} = { '/plain.txt' => {} };
    $_->reload for $gone, $off;
});

@plan = sort { $a->[0] <=> $b->[0] } @plan;
for my $step (@plan) {
    my $left = $zero + $step->[0] - time;
    sleep $left if $left > 0;
    $step->[1]();
}
my $late = time - $zero - $plan[-1][0];
diag sprintf 'the last sign of life was %.1f s late', $late if $late > 1;
sleep max(0, $plan[-1][0] + $zero + ($TIMEOUT + $WORST + $ROOM) / 1000 - time);

# --- what came of it ---

# {event, id, user, at, told} of a site, in order.
sub events_of {
    my ($redis, $site) = @_;
    return map {
        my ($entry, $fields) = @$_;
        +{ @$fields, told => ($entry =~ /^(\d+)/)[0], fields => join ' ', map { $fields->[ 2 * $_ ] } 0 .. ($#$fields - 1) / 2 };
    } @{ $redis->call('XRANGE', "hb:{$site}:events", '-', '+') };
}

sub text_of { my ($e) = @_; return join ' ', $e->{event}, $e->{id} // $e->{user}, defined $e->{id} && defined $e->{user} ? ('as', $e->{user}) : () }

# Is each event there once, in order, with the right time, told neither too early nor too late?
sub events_are {
    my ($redis, $site, $signs, @expected) = @_;
    my @got = events_of($redis, $site);
    my @texts = map {s/ at .*//r} @expected;
    is_deeply([ map { text_of($_) } @got ], \@texts, 'every event once, in order') or return diag explain \@got;
    for my $i (0 .. $#expected) {
        my ($sign, $after) = $expected[$i] =~ /at (\d+)(?: \+ (\d+))?$/ or die $expected[$i];
        my $e = $got[$i];
        my ($asked, $answered) = map { $_ + ($after // 0) } @{ $signs->[$sign] };
        ok(seen_right($e->{at}, $asked, $answered), "$texts[$i]: at") or diag sprintf 'at %s, expected %.0f', $e->{at}, $asked;
        my $told = $e->{told} - $e->{at} - ($e->{event} eq 'leave' ? $GRACE : 0);
        cmp_ok($told, '>=', 0, "$texts[$i]: not before its time") if $after;
        cmp_ok($told, '<=', $WORST + $ROOM, "$texts[$i]: told in time");
        is($e->{fields}, $e->{id} ? $e->{user} ? 'event id user at' : 'event id at' : 'event user at', "$texts[$i]: fields");
    }
}

sub nobody_left {
    my ($redis, $site) = @_;
    is($redis->call($_->[0], "hb:{$site}:$_->[1]"), 0, "nobody in $_->[1]") for [ ZCARD => 'online' ], [ ZCARD => 'undecided' ], [ HLEN => 'user' ];
}

for my $run (@runs) {
    my ($scenario, $redis) = @$run{qw(scenario redis)};
    subtest $run->{name} => sub {
        my $site = $scenario->{name};
        events_are($redis, $site, $run->{signs}, @{ $scenario->{events} }) if $scenario->{events};
        nobody_left($redis, $site);
        my $day = sub { my ($kind, $user) = @_; sum0 map { $redis->call('ZSCORE', $_, $user) // 0 } @{ $redis->call('KEYS', "hb:{$site}:$kind:*") } };
        my $of = sub { @_ ? $redis->session($site, $_[0]) : $day };
        $scenario->{check}($of, @{ $run->{signs} }) if $scenario->{check};
    };
}

subtest 'Redis restarted' => sub {
    my ($silent, @stays) = ($restarted_signs{silent}[0], @{ $restarted_signs{stays} });
    my @got = events_of($restarted_redis, 'restarted');
    is_deeply([ map { text_of($_) } @got ], [ 'online silent', 'online stays', 'offline silent', 'offline stays' ], 'every event once') or return diag explain \@got;
    ok(seen_right($got[2]{at}, map { $_ + $TIMEOUT } @$silent), 'who fell silent before went in time, though it was told later');
    ok(seen_right($got[3]{at}, map { $_ + $TIMEOUT } @{ $stays[-1] }), 'who went on was here all the time');
    cmp_ok($got[3]{told} - $got[3]{at}, '<=', $WORST + $ROOM, 'and is told in time');
    is($restarted_redis->beats('restarted', 'stays'), scalar @stays, 'every sign of life is counted once');
    nobody_left($restarted_redis, 'restarted');
};

subtest 'the longest time until it is known who went' => sub {
    my %told = map { $_->{id} => $_ } grep { $_->{event} eq 'offline' } events_of($slow_redis, 'slow');
    is(scalar keys %told, 25, 'all are known to be gone');
    my @late = sort { $a <=> $b } map { $_->{told} - $_->{at} } values %told;
    cmp_ok($late[-1], '<=', $SLOW + 250 + 1250 + $ROOM, "told after $late[0] to $late[-1] ms");
    is(scalar(grep { !seen_right($told{$_}{at}, map { $_ + $TIMEOUT } @{ $slow_signs{$_} }) } keys %told), 0, 'at the right times');
};

for my $case ([ 'a site that left the configuration', $gone, $gone_redis, 1 ], [ 'presence that was switched off', $off, $off_redis, 2 ]) {
    my ($name, $server, $redis, $sites) = @$case;
    subtest $name => sub {
        my @sites = qw(goes stays);
        for my $i (0, 1) {
            my @signs = @{ $left_behind{$server} }[ 2 * $i, 2 * $i + 1 ];
            my @got = events_of($redis, $sites[$i]);
            is_deeply([ sort map { text_of($_) } @got ],
                [ sort 'online s1 as Ann', 'user-online Ann', 'online s2', 'offline s1 as Ann', 'user-offline Ann', 'offline s2' ], "$sites[$i]: who was here has gone")
                or diag explain \@got;
            nobody_left($redis, $sites[$i]);
            my ($last) = grep { $_->{event} eq 'offline' } @got;
            ok($last && seen_right($last->{at}, map { $_ + $TIMEOUT } @{ $signs[0] }), 'at the right time');
        }
        is($redis->call('EXISTS', 'hb:sites'), 0, 'nobody has to look after them any more');
    };
}

no_bad_log_lines();
done_testing;
