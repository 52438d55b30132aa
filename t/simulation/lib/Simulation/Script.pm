# What the users of a simulation do: for each session its beats, from a random generator with a seed. No pause between
# two beats is near a threshold, so that nobody can argue about what should have happened.
package Simulation::Script;
use strict;
use warnings;

my $CLEAR = 400;    # ms between a pause and a threshold

# seed, users, seconds, hosts; timeout, grace, gap, interval in ms. Returns sessions: { id, user, beats => [{ at (ms from
# the start), active, leave, named (says the user), host }] }.
sub make {
    my (%o) = @_;
    my $self = bless {%o}, __PACKAGE__;
    srand $o{seed};
    return map { $self->user("u$_") } 1 .. $o{users};
}

# A user has one or two tabs, the second some time before or after the first.
sub user {
    my ($self, $name) = @_;
    my $end = 1000 * $self->{seconds};
    my $start = rand($end - 8000);
    my @sessions = ($self->session("$name-1", $name, $start, $end));
    if (rand() < 0.3) {
        my $second = $start - 10_000 + rand 20_000;
        push @sessions, $self->session("$name-2", $name, $second < 0 ? 0 : $second, $end);
    }
    return grep { @{ $_->{beats} } } @sessions;
}

# Comes, stays for some visits, and each time crashes or leaves.
sub session {
    my ($self, $id, $user, $start, $end) = @_;
    my $s = { id => $id, user => $user, beats => [], active => rand() < 0.7, next => $start, end => $end };
    my $visits = 1 + int rand 3;
    for my $visit (1 .. $visits) {
        $self->visit($s);
        my $leaves = rand() < 0.45;
        $self->beat($s, 200, 1800, leave => 1) if $leaves;
        last if $visit == $visits;
        # Back before the session is offline (after a crash), after a leave's grace, or long after.
        if (rand() < 0.4) { $self->beat($s, $leaves ? 2500 : 3500, 5500) }
        else { $self->beat($s, 6500, 12_000) }
    }
    return { map { $_ => $s->{$_} } qw(id user beats) };
}

sub visit {
    my ($self, $s) = @_;
    my $beats = 1 + int rand 7;
    for my $n (1 .. $beats) {
        my $way = rand;
        my @pause = $way < 0.84 ? (0.9 * $self->{interval}, 1.1 * $self->{interval}) : $way < 0.92 ? (300, 1500) : (3500, 5500);
        $self->beat($s, @pause);
        # Mostly the human goes on doing what they did.
        $s->{active} = !$s->{active} if rand() < 0.25;
    }
    if (rand() < 0.25) {    # a navigation: the page leaves, the next one beats within the grace
        $self->beat($s, 200, 1800, leave => 1);
        $self->beat($s, 200, 1500);
    }
}

# One more beat, from..to ms after the one before.
sub beat {
    my ($self, $s, $from, $to, %o) = @_;
    my $active = $s->{active} && !$o{leave} ? 1 : 0;
    my $last = @{ $s->{beats} } ? $s->{beats}[-1]{at} : undef;
    for (1 .. 30) {
        my $at = defined $last ? $last + $from + rand($to - $from) : $s->{next};
        last if $at > $s->{end};
        next if !$self->clear($s, $at, $active);
        my $named = !$o{leave} || !two_hosts_know($s);
        push @{ $s->{beats} },
            { at => $at, active => $active, leave => $o{leave} ? 1 : 0, named => $named ? 1 : 0, host => int rand $self->{hosts} };
        return;
    }
}

# Leaves need not say whose the session is, once it is known: one host alone may take its last beats with it.
sub two_hosts_know {
    my ($s) = @_;
    my %hosts = map { $_->{host} => 1 } grep { $_->{named} } @{ $s->{beats} };
    return keys %hosts > 1;
}

# Is a beat at this time far from every threshold?
sub clear {
    my ($self, $s, $at, $active) = @_;
    my $last = $s->{beats}[-1] or return 1;
    return 0 if abs($at - $last->{at} - $self->{timeout}) < $CLEAR;
    return 0 if $last->{leave} && abs($at - $last->{at} - $self->{grace}) < $CLEAR;
    my ($before) = grep { $_->{active} } reverse @{ $s->{beats} };
    return !$active || !$before || abs($at - $before->{at} - $self->{gap}) >= $CLEAR;
}

1;
