# The truth of a simulation, from nothing but the beats that were sent: what had to happen to a session, and how much
# time it was open and active. It shares no code and no idea of storage with the module.
#
# A sign is a beat with the window in which the server got it: asked and answered (ms), active, leave, and sure, which
# is false for one that the server may have lost with good reason; hidden: a leave of which Redis was told late; crossed: a leave
# so near to a sign at another host that nobody can say which came first.
package Simulation::Ledger;
use strict;
use warnings;
use List::Util qw(max min);
use POSIX ();

my $DAY = 86_400_000;
my $MOST = 256;    # histories of one session that are looked at

# timeout, grace, gap, flush: ms; blur: by how many ms the server may misjudge when a beat came.
sub new { my ($class, %o) = @_; return bless {%o}, $class }

sub window { my ($self, $sign) = @_; return ($sign->{asked} - $self->{blur}, $sign->{answered} + $self->{blur}) }

# Everything that may have happened to a session with these signs: mostly one history. A history is a list of events
# { event, from, to }, in order; from and to say when (ms). Signs in order of time. Undef: too many to tell.
sub histories {
    my ($self, @signs) = @_;
    my @states = ({ events => [] });
    for my $sign (@signs) {
        my @as = ($sign, $sign->{crossed} ? { %$sign, leave => 0 } : ());
        @states = map { my $state = $_; ((map { $self->after($state, $_) } @as), $sign->{sure} ? () : $state) } @states;
        return undef if @states > $MOST;
    }
    my $histories = [ map { $_->{deadline} ? [ @{ $_->{events} }, $self->end($_) ] : $_->{events} } @states ];
    $self->{flush} && $self->blur_arrivals($_, @signs) for @$histories;
    return $histories;
}

# Who comes is told at once: where the first two signs go to two hosts within one flush, the second may be told first.
sub blur_arrivals {
    my ($self, $history, @signs) = @_;
    for my $i (grep { $history->[$_]{event} eq 'online' } 0 .. $#$history) {
        my $to = $history->[$i]{to};
        my @next = map { ($self->window($_))[1] } grep { $_->{asked} > $history->[$i]{from} && $_->{asked} <= $to + $self->{flush} } @signs;
        $history->[$i] = { %{ $history->[$i] }, to => max($to, @next) };
    }
}

# The state after one more sign: two of them if nobody can say whether it came before the deadline.
sub after {
    my ($self, $state, $sign) = @_;
    my ($from, $to) = $self->window($sign);
    my $wait = $sign->{leave} ? $self->{grace} : $self->{timeout};
    my %now = (deadline => [ $from + $wait, $to + $wait ], left => $sign->{leave} ? [ $from, $to ] : undef, hidden => $sign->{hidden});
    my $online = { event => 'online', from => $from, to => $to };
    my $deadline = $state->{deadline} or return { %now, events => [ @{ $state->{events} }, $online ] };
    my @after;
    push @after, { %now, events => $state->{events} } if $from <= $deadline->[1];
    push @after, { %now, events => [ @{ $state->{events} }, $self->end($state), $online ] } if $to >= $deadline->[0];
    # Of a goodbye that Redis could not be told of at once, another server may not know that nothing came for a while.
    push @after, { %now, events => $state->{events} }
        if $state->{hidden} && $from > $deadline->[1] && $from <= $state->{left}[1] + $self->{timeout};
    return @after;
}

sub end {
    my ($self, $state) = @_;
    my ($deadline, $left) = @$state{qw(deadline left)};
    return (
        $left ? { event => 'leave', from => $left->[0], to => $left->[1] } : (),
        { event => 'offline', from => $deadline->[0], to => $deadline->[1] },
    );
}

# The sum of the runs of these signs, of one session or of all of a user: day => [at least, at most, runs] in ms. The
# bounds come from the windows alone, without the blur. Neighbours of a run are at most gap apart.
sub time_spent {
    my ($self, $gap, @signs) = @_;
    @signs = sort { $a->{asked} <=> $b->{asked} } @signs;
    my %days;
    for my $run ($self->runs($gap, 0, grep { $_->{sure} } @signs)) {
        each_day($run->{last_asked}, $run->{first_answered}, sub { $days{ $_[0] }[0] += $_[1] });
    }
    for my $run ($self->runs($gap, 1, @signs)) {
        each_day($run->{last_answered}, $run->{first_asked}, sub { $days{ $_[0] }[1] += $_[1]; $days{ $_[0] }[2]++ });
    }
    return { map { $_ => [ $days{$_}[0] // 0, $days{$_}[1] // 0, $days{$_}[2] // 1 ] } keys %days };
}

# Signs joined into runs: where it is doubtful if two of them are near enough, as said.
sub runs {
    my ($self, $gap, $doubtful, @signs) = @_;
    my @runs;
    for my $sign (@signs) {
        my ($from, $to) = $self->window($sign);
        my $run = $runs[-1];
        my $near = $run && ($doubtful ? $from - $run->{latest_to} : $to - $run->{latest_from}) <= $gap;
        push @runs, $run = { first_answered => $sign->{answered}, first_asked => $sign->{asked}, last_asked => 0, last_answered => 0,
            latest_from => 0, latest_to => 0 } if !$near;
        $run->{first_answered} = min($run->{first_answered}, $sign->{answered});
        $run->{last_asked} = max($run->{last_asked}, $sign->{asked});
        $run->{last_answered} = max($run->{last_answered}, $sign->{answered});
        $run->{latest_from} = max($run->{latest_from}, $from);
        $run->{latest_to} = max($run->{latest_to}, $to);
    }
    return @runs;
}

# Calls back with each UTC day between two moments and the ms of it.
sub each_day {
    my ($to, $from, $code) = @_;
    while ($from < $to) {
        my $midnight = $DAY * (1 + POSIX::floor($from / $DAY));
        my $end = min($to, $midnight);
        $code->(day($from), $end - $from);
        $from = $end;
    }
}

sub day { my ($ms) = @_; return POSIX::strftime('%Y-%m-%d', gmtime POSIX::floor($ms / 1000)) }

1;
