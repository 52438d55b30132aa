# A world without servers, in which every beat is heard at once and nothing ever fails: what Redis would hold after a
# script. It proves that the comparison is content with a right result, and that it sees a wrong one.
package Simulation::World;
use strict;
use warnings;
use List::Util qw(max min);

# sessions as Simulation::Script makes them; start in ms; timeout, grace, gap in ms; hosts. Returns (sessions, found) as
# Simulation::Verdict takes them.
sub play {
    my ($o, @scripts) = @_;
    my (%sessions, %hash, %user, @events);
    for my $script (@scripts) {
        my @signs = map { my $at = $o->{start} + $_->{at}; { asked => $at - 2, answered => $at + 2, sure => 1, %$_, at => $at } } @{ $script->{beats} };
        $sessions{ $script->{id} } = { user => $script->{user}, signs => \@signs };
        my @times = map { $_->{at} } @signs;
        my @active = map { $_->{at} } grep { $_->{active} } @signs;
        $hash{ $script->{id} } = {
            user => $script->{user}, beats => scalar @signs, first => $times[0], last => $times[-1],
            open_ms => spent($o->{timeout}, @times), active_ms => spent($o->{gap}, @active),
        };
        push @{ $user{ $script->{user} }{open} }, @times;
        push @{ $user{ $script->{user} }{active} }, @active;
        push @events, events($o, $script, @signs);
    }
    my %found = (session => \%hash, users => {}, due => {}, events => [ with_users(sort { $a->{ms} <=> $b->{ms} } @events) ]);
    my $day = Simulation::Ledger::day($o->{start});
    for my $what (qw(open active)) {
        $found{$what}{$day}{$_} = spent($what eq 'open' ? $o->{timeout} : $o->{gap}, sort { $a <=> $b } @{ $user{$_}{$what} }) for keys %user;
    }
    return (\%sessions, \%found);
}

sub spent {
    my ($gap, @times) = @_;
    my $sum = 0;
    $sum += $times[$_] - $times[ $_ - 1 ] <= $gap ? $times[$_] - $times[ $_ - 1 ] : 0 for 1 .. $#times;
    return $sum;
}

# Online is written a little after the beat, offline about a second after the deadline or with the next beat.
sub events {
    my ($o, $script, @signs) = @_;
    my @events;
    for my $i (0 .. $#signs) {
        my ($sign, $before, $next) = ($signs[$i], $i ? $signs[ $i - 1 ] : undef, $signs[ $i + 1 ]);
        my $deadline = $sign->{at} + ($sign->{leave} ? $o->{grace} : $o->{timeout});
        push @events, { event => 'online', at => $sign->{at}, ms => $sign->{at} + 300 }
            if !$before || $before->{at} + ($before->{leave} ? $o->{grace} : $o->{timeout}) < $sign->{at};
        next if $next && $next->{at} <= $deadline;
        my $written = min($deadline + 1000, $next ? $next->{at} + 299 : 9e15);
        push @events, { event => 'leave', at => $sign->{at}, ms => $written - 0.5 } if $sign->{leave};
        push @events, { event => 'offline', at => $deadline, ms => $written };
    }
    return map { { %$_, id => $script->{id}, user => $script->{user} } } @events;
}

sub with_users {
    my (%live, @all);
    for my $e (@_) {
        push @all, $e;
        next if $e->{event} eq 'leave';
        my $now = $live{ $e->{user} } += $e->{event} eq 'online' ? 1 : -1;
        next if $now != ($e->{event} eq 'online' ? 1 : 0);
        push @all, { event => "user-$e->{event}", user => $e->{user}, at => $e->{at}, ms => $e->{ms} };
    }
    return @all;
}

1;
