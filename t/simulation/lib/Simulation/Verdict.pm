# Compares what Redis holds after a simulation with the ledger, and says what differs so that one can see why.
package Simulation::Verdict;
use strict;
use warnings;
use List::Util qw(max min sum0);

my %PROBLEM = (    # kind => what it means
    event => 'events that are not those of the ledger',
    user => 'user events that do not follow from those of the sessions',
    left => 'things left behind',
    time => 'times or counts that are not those of the ledger',
    delay => 'events too early or too late',
);
sub kinds { return sort keys %PROBLEM }
sub meaning { return $PROBLEM{ $_[0] } }

# ledger; gap, timeout; late => { offline, online } in ms; trouble => [[from, to]...] in ms, when Redis was away.
# sessions: id => { user, signs => [...] in order of time }. found: what Redis holds: events => [{ ms, event, id, user, at }],
# session => { id => hash }, open and active => { day => { user => ms } }, users, due => what was left of these two.
sub judge {
    my ($class, %o) = @_;
    my $self = bless { %o, problems => {}, numbers => {}, zero => zero_of($o{sessions}) }, $class;
    $self->session_events;
    $self->user_events;
    $self->leftovers;
    $self->session_times($_) for sort keys %{ $self->{sessions} };
    $self->user_times;
    $self->delays;
    return $self;
}

sub problems { my ($self, $kind) = @_; return @{ $self->{problems}{$kind} // [] } }
sub number { my ($self, $name) = @_; return $self->{numbers}{$name} // 0 }

sub zero_of { my ($sessions) = @_; return min(map { $_->{signs}[0]{asked} } grep { @{ $_->{signs} } } values %$sessions) // 0 }
sub problem { my ($self, $kind, $text, $id) = @_; push @{ $self->{problems}{$kind} }, $text . (defined $id ? $self->story($id) : '') }
sub count { my ($self, $name, $n) = @_; $self->{numbers}{$name} += $n // 1 }
sub worst { my ($self, $name, $n) = @_; $self->{numbers}{$name} = $n if $n > ($self->{numbers}{$name} // 0) }

# --- events ---

sub session_events {
    my ($self) = @_;
    my %of;
    for my $e (@{ $self->{found}{events} }) {
        next if $e->{event} =~ /^user-/;
        push @{ $of{ $e->{id} // '' } }, $e;
        $self->problem(event => "an event of a session that nobody scripted: $e->{event} " . ($e->{id} // 'without id'))
            if !$self->{sessions}{ $e->{id} // '' };
    }
    $self->{events_of} = \%of;
    $self->events_of_session($_, $of{$_} // []) for sort keys %{ $self->{sessions} };
}

sub events_of_session {
    my ($self, $id, $events) = @_;
    my $session = $self->{sessions}{$id};
    my @signs = @{ $session->{signs} };
    $self->count('sessions');
    $self->count(beats => scalar @signs);
    $self->count(events => scalar @$events);
    my $histories = $self->{ledger}->histories(@signs);
    if (!$histories) { $self->count('unclear'); return }
    $self->count('doubtful') if @$histories > 1;
    $self->problem(event => "session $id: its events", $id) if !grep { same($_, $events) } @$histories;
    my @strangers = grep { ($_->{user} // $session->{user}) ne $session->{user} } @$events;
    $self->problem(event => "session $id: events of another user", $id) if @strangers;
}

sub same {
    my ($expected, $events) = @_;
    return 0 if @$expected != @$events;
    for my $i (0 .. $#$expected) {
        my ($x, $e) = ($expected->[$i], $events->[$i]);
        return 0 if $x->{event} ne $e->{event} || $e->{at} < $x->{from} || $e->{at} > $x->{to};
    }
    return 1;
}

# A user is online from the first session to the last: after the event of a session that changes this, the next event
# of that user tells it, and there are no others. A goodbye says no name: where it is told before the beat that says it,
# the session is online without one, and the user's own event has the time at which the name was said.
sub user_events {
    my ($self) = @_;
    my (%live, %owed);
    for my $e (@{ $self->{found}{events} }) {
        my $nameless = !defined $e->{user} && $e->{event} eq 'online';
        my $user = $e->{user} // ($nameless && ($self->{sessions}{ $e->{id} } // {})->{user}) || next;
        if ($e->{event} =~ /^user-/) {
            $self->count('events');
            my $owed = delete $owed{$user};
            $self->problem(user => "$user: an unexpected $e->{event}" . $self->moment($e)) if !$owed || $owed->{event} ne $e->{event};
            $self->problem(user => "$user: $e->{event} at another time than its cause" . $self->moment($e) . $self->moment($owed))
                if $owed && !($owed->{nameless} ? $self->is_said($owed->{id}, $e->{at}) : $owed->{at} == $e->{at});
            next;
        }
        next if $e->{event} eq 'leave';
        my $missing = delete $owed{$user};
        $self->problem(user => "$user: no $missing->{event}" . $self->moment($missing), $e->{id}) if $missing;
        my $change = $e->{event} eq 'online' ? 1 : -1;
        my $now = $live{$user} += $change;
        $owed{$user} = { %$e, event => "user-$e->{event}", nameless => $nameless } if $now == ($change > 0 ? 1 : 0);
    }
    $self->problem(user => "$_: no $owed{$_}{event}" . $self->moment($owed{$_}), $owed{$_}{id}) for sort keys %owed;
}

# Was the name said at this moment? Every beat says it but a goodbye.
sub is_said {
    my ($self, $id, $ms) = @_;
    return scalar grep { !$_->{leave} && $self->within($ms, $_) } @{ $self->{sessions}{$id}{signs} };
}

sub leftovers {
    my ($self) = @_;
    for my $what (qw(users due)) {
        my $left = $self->{found}{$what};
        my @some = (sort keys %$left)[ 0 .. min(4, keys(%$left) - 1) ];
        $self->problem(left => "$what: " . keys(%$left) . ' left: ' . join ' ', map {"$_=$left->{$_}"} @some) if @some;
    }
}

# --- times ---

sub session_times {
    my ($self, $id) = @_;
    my $session = $self->{sessions}{$id};
    my @signs = @{ $session->{signs} };
    my @sure = grep { $_->{sure} } @signs;
    my $hash = $self->{found}{session}{$id} // {};
    return if !@sure && !%$hash;
    my ($beats, $all, $sure) = ($hash->{beats} // 0, scalar @signs, scalar @sure);
    $self->problem(time => "session $id: $beats beats, not $sure to $all", $id) if $beats < $sure || $beats > $all;
    $self->problem(time => "session $id: last seen at" . $self->clock($hash->{last} // 0), $id)
        if !grep { $self->within($hash->{last} // 0, $_) } from_last_sure(@signs);
    $self->problem(time => "session $id: user " . ($hash->{user} // 'none'), $id) if @sure == @signs && ($hash->{user} // '') ne $session->{user};
    $self->compare_time("session $id", $id, open => $hash->{open_ms}, $self->{timeout}, @signs);
    $self->compare_time("session $id", $id, active => $hash->{active_ms}, $self->{gap}, grep { $_->{active} } @signs);
}

# The last sign that is sure and those after it.
sub from_last_sure {
    my @signs = @_;
    my @last;
    while (@signs) { unshift @last, pop @signs; last if $last[0]{sure} }
    return @last;
}

sub within { my ($self, $ms, $sign) = @_; my ($from, $to) = $self->{ledger}->window($sign); return $ms >= $from && $ms <= $to }

# All days together.
sub compare_time {
    my ($self, $name, $id, $what, $value, $gap, @signs) = @_;
    my $days = $self->{ledger}->time_spent($gap, @signs);
    my @sum = map { my $i = $_; sum0 map { $_->[$i] } values %$days } 0 .. 2;
    $self->in_bounds($name, $what, $value, \@sum, $id);
}

# Each end of a run may be misjudged by the blur.
sub in_bounds {
    my ($self, $name, $what, $value, $bounds, @ids) = @_;
    my ($least, $most, $runs) = @$bounds;
    $value //= 0;
    $self->count('times');
    my $error = max(0, $least - $value, $value - $most);
    if ($error > 2 * $self->{ledger}{blur} * max(1, $runs)) {
        $self->problem(time => sprintf('%s: %s for %.0f ms, not %.0f to %.0f in %d runs%s', $name, $what, $value, $least, $most, $runs,
            join '', map { $self->story($_) } @ids));
    }
    else { $self->worst(error => $error) }
}

sub user_times {
    my ($self) = @_;
    my %of;
    push @{ $of{ $self->{sessions}{$_}{user} } }, $_ for sort keys %{ $self->{sessions} };
    for my $what (qw(open active)) {
        my %found = %{ $self->{found}{$what} };
        for my $user (sort keys %of) {
            my @signs = map { @{ $self->{sessions}{$_}{signs} } } @{ $of{$user} };
            @signs = grep { $_->{active} } @signs if $what eq 'active';
            my $days = $self->{ledger}->time_spent($what eq 'open' ? $self->{timeout} : $self->{gap}, @signs);
            my %day = map { $_ => 1 } keys %$days, grep { exists $found{$_}{$user} } keys %found;
            $self->in_bounds("user $user on $_", $what, $found{$_}{$user}, $days->{$_} // [ 0, 0, 0 ], @{ $of{$user} }) for sort keys %day;
        }
        for my $day (sort keys %found) {
            my @strangers = grep { !$of{$_} } sort keys %{ $found{$day} };
            $self->problem(time => "$what on $day: of users that nobody scripted: @strangers") if @strangers;
        }
    }
}

# --- delays ---

# An event of a moment when Redis was away, or not yet trusted again, is due when that is over: later still, if Redis goes
# again before.
sub due {
    my ($self, $at) = @_;
    for my $trouble (sort { $a->[0] <=> $b->[0] } @{ $self->{trouble} // [] }) {
        $at = $trouble->[1] if $at >= $trouble->[0] && $at < $trouble->[1];
    }
    return $at;
}

sub delays {
    my ($self) = @_;
    for my $e (@{ $self->{found}{events} }) {
        my $kind = $e->{event} =~ /offline$/ ? 'offline' : $e->{event} =~ /online$/ ? 'online' : next;
        my $delay = $e->{ms} - $e->{at};
        my $trouble = $self->due($e->{at}) - $e->{at};
        my $limit = $self->{late}{$kind} + $trouble;
        # A host's idea of the Redis clock may be a little ahead.
        if ($delay < -$self->{ledger}{blur} || $delay > $limit) {
            $self->problem(delay => sprintf('%s of %s: written %.0f ms after it, at most %.0f%s%s', $e->{event}, $e->{id} // $e->{user},
                $delay, $limit, $trouble ? ' (Redis was away)' : '', $self->moment($e)));
        }
        $self->count($trouble ? "troubled $kind" : "calm $kind");
        $self->worst(($trouble ? 'troubled ' : '') . "$kind delay", $delay);
    }
}

# --- what a person wants to see ---

# Seconds since the first beat of all.
sub clock { my ($self, $ms) = @_; return sprintf ' +%.3f', ($ms - $self->{zero}) / 1000 }
sub moment { my ($self, $e) = @_; return ', at' . $self->clock($e->{at}) . ', in the stream' . $self->clock($e->{ms}) }

# A session's beats, what the ledger makes of them, and what Redis holds.
sub story {
    my ($self, $id) = @_;
    my $session = $self->{sessions}{$id} or return '';
    my @lines = ("$id of $session->{user}, seconds since the first beat of all");
    for my $s (@{ $session->{signs} }) {
        push @lines, sprintf '  beat%s (%.0f ms) to host %d%s%s%s', $self->clock($s->{asked}), $s->{answered} - $s->{asked}, $s->{host} // -1,
            $s->{active} ? ', active' : '', $s->{leave} ? ', leave' : '', $s->{sure} ? '' : ', perhaps lost';
    }
    my $histories = $self->{ledger}->histories(@{ $session->{signs} }) // [];
    for my $h (@$histories[ 0 .. min(3, $#$histories) ]) {
        push @lines, '  expected: ' . join ' ', map { $_->{event} . $self->clock(($_->{from} + $_->{to}) / 2) } @$h;
    }
    push @lines, '  ... and ' . (@$histories - 4) . ' more possible histories' if @$histories > 4;
    push @lines, '  found:    ' . join ' ', map { $_->{event} . $self->clock($_->{at}) . ' (written' . $self->clock($_->{ms}) . ')' } @{ $self->{events_of}{$id} // [] };
    my $hash = $self->{found}{session}{$id} // {};
    push @lines, '  stored:   ' . join ' ', map {"$_=$hash->{$_}"} sort keys %$hash;
    return join '', map {"\n    $_"} @lines;
}

1;
