# The simulation's own arithmetic, and that its comparison is content with what is right and sees what is wrong.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use List::Util qw(first);
use Simulation::Ledger;
use Simulation::Script;
use Simulation::Verdict;
use Simulation::World;
use Test::More;

my %rules = (timeout => 6000, grace => 2000, gap => 3000, interval => 2000);
my $ledger = Simulation::Ledger->new(%rules, blur => 50);
my $noon = 1_700_000_000_000 - 1_700_000_000_000 % 86_400_000 + 43_200_000;

# A sign at a time in seconds after noon, heard within 10 ms. Words: active, leave, maybe.
sub sign {
    my ($at, @words) = @_;
    my %is = map { $_ => 1 } @words;
    return { asked => $noon + 1000 * $at, answered => $noon + 1000 * $at + 10, sure => !$is{maybe}, map { $_ => $is{$_} || 0 } qw(active leave) };
}

# Histories in words: "online 0 offline 6".
sub told {
    my $histories = $ledger->histories(@_);
    return join ' | ', sort map { join ' ', map { $_->{event} . ' ' . sprintf '%g', ($_->{from} + 50 - $noon) / 1000 } @$_ } @$histories;
}

subtest 'what happens to a session' => sub {
    is(told(sign(0)), 'online 0 offline 6', 'one beat');
    is(told(sign(0), sign(5), sign(10.8)), 'online 0 offline 16.8', 'silence shorter than the timeout');
    is(told(sign(0), sign(7)), 'online 0 offline 6 online 7 offline 13', 'and longer');
    is(told(sign(0), sign(1, 'leave')), 'online 0 leave 1 offline 3', 'a leave');
    is(told(sign(0), sign(1, 'leave'), sign(2)), 'online 0 offline 8', 'a navigation');
    is(told(sign(0), sign(1, 'leave'), sign(4)), 'online 0 leave 1 offline 3 online 4 offline 10', 'back after the grace');
    is(told(sign(0), sign(1, 'leave'), sign(2, 'leave')), 'online 0 leave 2 offline 4', 'two leaves');
    is(told(), '', 'nothing at all');
};

subtest 'what may have happened' => sub {
    is(told(sign(0), sign(2, 'maybe')), 'online 0 offline 6 | online 0 offline 8', 'a beat that may be lost');
    is(told(sign(0, 'maybe')), ' | online 0 offline 6', 'the only one');
    is(told(sign(0), sign(1, 'leave', 'maybe')), 'online 0 leave 1 offline 3 | online 0 offline 6', 'a leave that may be lost');
    is(told(sign(0), sign(5, 'maybe'), sign(9)), 'online 0 offline 15 | online 0 offline 6 online 9 offline 15', 'one that may have kept it alive');
    is(told(sign(0), sign(6.05)), 'online 0 offline 12.05 | online 0 offline 6 online 6.05 offline 12.05', 'one on the deadline');
    is($ledger->histories(sign(0), map { sign($_, 'maybe') } 1 .. 20), undef, 'too many to tell');
};

subtest 'time' => sub {
    my $sum = sub { my ($gap, @signs) = @_; my $days = $ledger->time_spent($gap, @signs); return join ' ', map {"$_: @{ $days->{$_} }"} sort keys %$days };
    my $day = Simulation::Ledger::day($noon);
    is($sum->(6000, sign(0)), "$day: 0 10 1", 'one beat lasts no time');
    is($sum->(6000, sign(0), sign(5), sign(10)), "$day: 9990 10010 1", 'one run');
    is($sum->(3000, sign(0), sign(2), sign(6), sign(8)), "$day: 3980 4020 2", 'two runs');
    is($sum->(6000, sign(4), sign(0), sign(8)), "$day: 7990 8010 1", 'in any order');
    is($sum->(6000, sign(0), sign(5, 'maybe'), sign(9)), "$day: 0 9010 1", 'a beat that may be lost may part a run');
    is($sum->(6000, sign(0), sign(6.05)), "$day: 0 6060 1", 'so may a pause near the gap');
    is($sum->(6000), '', 'no beats, no time');
};

subtest 'midnight' => sub {
    my @signs = map { sign(43_200 + $_) } -4, -1, 2, 4;
    my $days = $ledger->time_spent(6000, @signs);
    my ($before, $after) = map { Simulation::Ledger::day($noon + $_ * 43_200_000) } 0, 1;
    is_deeply([ sort keys %$days ], [ $before, $after ], 'a run over midnight belongs to two days');
    is_deeply($days->{$before}, [ 3990, 4000, 1 ], 'until midnight');
    is_deeply($days->{$after}, [ 4000, 4010, 1 ], 'and from then on');
    is_deeply([ keys %{ $ledger->time_spent(6000, map { sign(43_200 + $_) } 1, 3) } ], [$after], 'a run after midnight to one');
    is(Simulation::Ledger::day(951_782_399_999), '2000-02-28', 'a leap year');
    is(Simulation::Ledger::day(951_782_400_000), '2000-02-29', 'has one day more');
};

my @scripts = Simulation::Script::make(seed => 7, users => 250, seconds => 60, hosts => 3, %rules);

subtest 'the script' => sub {
    my ($beats, $near, $backwards, %kinds) = (0, 0, 0);
    for my $s (@scripts) {
        my ($last, $active);
        for my $b (@{ $s->{beats} }) {
            $beats++;
            my $pause = $last ? $b->{at} - $last->{at} : undef;
            if ($last) {
                $backwards++ if $pause <= 0;
                $near++ if abs($pause - 6000) < 400 || ($last->{leave} && abs($pause - 2000) < 400);
                $kinds{ $last->{leave} ? $pause < 2000 ? 'navigation' : 'back after a leave' : $pause > 6000 ? 'back after a crash' : 'on' }++;
            }
            $near++ if $b->{active} && $active && abs($b->{at} - $active->{at} - 3000) < 400;
            $last = $b;
            $active = $b if $b->{active};
        }
        $kinds{ $last->{leave} ? 'left' : 'crashed' }++;
    }
    cmp_ok($beats, '>', 2000, "$beats beats of " . @scripts . ' sessions');
    is($backwards, 0, 'in order');
    is($near, 0, 'none near a threshold');
    cmp_ok($kinds{$_} // 0, '>', 30, "$kinds{$_} times: $_") for 'on', 'navigation', 'back after a leave', 'back after a crash', 'left', 'crashed';
    my @again = Simulation::Script::make(seed => 7, users => 250, seconds => 60, hosts => 3, %rules);
    is_deeply(\@again, \@scripts, 'the same seed is the same script');
};

sub judge {
    my ($change) = @_;
    my ($sessions, $found) = Simulation::World::play({ start => $noon, %rules }, @scripts);
    $change->($found, $sessions) if $change;
    return Simulation::Verdict->judge(
        ledger => $ledger, %rules, late => { offline => 2500, online => 1500 }, sessions => $sessions, found => $found);
}

subtest 'a world without faults' => sub {
    my $verdict = judge();
    for my $kind (Simulation::Verdict::kinds()) {
        my @problems = $verdict->problems($kind);
        is(scalar @problems, 0, 'no ' . Simulation::Verdict::meaning($kind)) or diag $problems[0];
    }
    cmp_ok($verdict->number('events'), '>', 1000, $verdict->number('events') . ' events compared');
    cmp_ok($verdict->number('times'), '>', 1000, $verdict->number('times') . ' times');
    is($verdict->number('doubtful'), 0, 'nothing was doubtful');
};

subtest 'when an event is due' => sub {
    my $verdict = bless { trouble => [ [ 20, 30 ], [ 0, 8 ], [ 6, 19 ] ] }, 'Simulation::Verdict';
    is($verdict->due($_->[0]), $_->[1], "of $_->[0]: $_->[2]") for [ 25, 30, 'when Redis is back' ], [ 3, 19, 'when it is back for good' ],
        [ 19, 19, 'at once' ], [ 30, 30, 'at once' ];
};

# Each of these lies must be seen, and as what it is.
my @lies = (
    [ 'an event is missing', event => sub { remove($_[0], 'offline') } ],
    [ 'an event is there twice', event => sub { my $e = some($_[0], 'online'); insert($_[0], { %$e }, $e) } ],
    [ 'a leave is missing', event => sub { remove($_[0], 'leave') } ],
    [ 'a leave after its offline', event => sub { my $e = some($_[0], 'leave'); swap($_[0], $e, next_of($_[0], $e)) } ],
    [ 'offline and online in the wrong order', event => sub { my $e = some($_[0], 'online'); swap($_[0], $e, next_of($_[0], $e)) } ],
    [ 'an online at another time', event => sub { some($_[0], 'online')->{at} += 900 } ],
    [ 'an offline at another time', event => sub { some($_[0], 'offline')->{at} -= 900 } ],
    [ 'an event of a stranger', event => sub { push @{ $_[0]{events} }, { ms => $noon, at => $noon, event => 'online', id => 'nobody' } } ],
    [ 'an event of another user', event => sub { some($_[0], 'online')->{user} = 'somebody' } ],
    [ 'a session that was never seen', event => sub { my $id = some($_[0], 'online')->{id}; $_[0]{events} = [ grep { ($_->{id} // '') ne $id } @{ $_[0]{events} } ] } ],
    [ 'a user who never comes', user => sub { remove($_[0], 'user-online') } ],
    [ 'a user who never goes', user => sub { remove($_[0], 'user-offline') } ],
    [ 'a user who comes twice', user => sub { my $e = some($_[0], 'user-online'); insert($_[0], { %$e }, $e) } ],
    [ 'a user who comes at another time', user => sub { some($_[0], 'user-online')->{at} += 5 } ],
    [ 'a user who goes with the first of two sessions', user => sub { early_user($_[0]) } ],
    [ 'a user left online', left => sub { $_[0]{users}{u1} = 1 } ],
    [ 'a session left in the deadlines', left => sub { $_[0]{due}{'u1-1'} = $noon } ],
    [ 'a beat lost', time => sub { $_[0]{session}{'u3-1'}{beats}-- } ],
    [ 'a beat counted twice', time => sub { $_[0]{session}{'u3-1'}{beats}++ } ],
    [ 'a session open for too long', time => sub { $_[0]{session}{'u3-1'}{open_ms} += 2000 } ],
    [ 'a session active for too long', time => sub { $_[0]{session}{'u3-1'}{active_ms} += 2000 } ],
    [ 'a user open for too short', time => sub { (values %{ $_[0]{open} })[0]{u5} = 0 } ],
    [ 'a user active on a day before', time => sub { $_[0]{active}{'2001-01-01'}{u5} = 5000 } ],
    [ 'a time of a stranger', time => sub { (values %{ $_[0]{active} })[0]{nobody} = 1 } ],
    [ 'a session without its hash', time => sub { delete $_[0]{session}{'u3-1'} } ],
    [ 'last seen too late', time => sub { $_[0]{session}{'u3-1'}{last} += 600 } ],
    [ 'an offline that came late', delay => sub { some($_[0], 'offline')->{ms} += 2000 } ],
    [ 'an offline before its time', delay => sub { my $e = some($_[0], 'offline'); $e->{ms} = $e->{at} - 100 } ],
    [ 'an online that came late', delay => sub { some($_[0], 'online')->{ms} += 1500 } ],
    [ 'a beat that the ledger does not know', event => sub { pop @{ $_[1]{'u3-1'}{signs} } } ],
);

# An event of that kind from the middle of the stream: of a session with a return, so that there is one after it.
sub some {
    my ($found, $event) = @_;
    my %n;
    $_->{event} eq 'online' && $n{ $_->{id} }++ for @{ $found->{events} };
    my @some = grep { $_->{event} eq $event && (!defined $_->{id} || $n{ $_->{id} } > 1) } @{ $found->{events} };
    return $some[ @some / 2 ];
}
sub place { my ($found, $e) = @_; return first { $found->{events}[$_] == $e } 0 .. $#{ $found->{events} } }
sub next_of { my ($found, $e) = @_; my $at = place($found, $e); return first { ($_->{id} // '') eq $e->{id} } @{ $found->{events} }[ $at + 1 .. $#{ $found->{events} } ] }
sub remove { my ($found, $event) = @_; splice @{ $found->{events} }, place($found, some($found, $event)), 1 }
sub insert { my ($found, $new, $before) = @_; splice @{ $found->{events} }, place($found, $before), 0, $new }
sub swap { my ($found, $a, $b) = @_; my ($i, $j) = (place($found, $a), place($found, $b)); @{ $found->{events} }[ $i, $j ] = ($b, $a) }

# The user-offline of a user with two sessions right after the offline of the first.
sub early_user {
    my ($found) = @_;
    my %live;
    for my $e (@{ $found->{events} }) {
        next if $e->{event} !~ /^(?:online|offline)$/;
        my $now = $live{ $e->{user} } += $e->{event} eq 'online' ? 1 : -1;
        next if $e->{event} eq 'online' || $now != 1;
        my $end = first { $_->{event} eq 'user-offline' && $_->{user} eq $e->{user} } @{ $found->{events} }[ place($found, $e) .. $#{ $found->{events} } ];
        splice @{ $found->{events} }, place($found, $end), 1;
        splice @{ $found->{events} }, place($found, $e) + 1, 0, { %$end, at => $e->{at}, ms => $e->{ms} };
        return;
    }
}

subtest 'every lie is seen' => sub {
    for my $lie (@lies) {
        my ($name, $kind, $tell) = @$lie;
        my @problems = judge($tell)->problems($kind);
        ok(@problems, "$name") or diag 'not seen among the ' . Simulation::Verdict::meaning($kind);
        cmp_ok(scalar @problems, '<', 6, 'and only that') or diag "$problems[0]\n$problems[1]";
    }
};

done_testing;
