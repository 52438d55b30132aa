# Sends the beats of a script when they are due, each to its host, and writes down when it was asked and answered. One
# process; it stands for browsers behind a load balancer: a host that does not answer is left out from then on.
package Simulation::Sender;
use strict;
use warnings;
use Errno qw(EAGAIN EINTR EINPROGRESS);
use Heartbeat::Process;
use IO::Socket::INET;
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

my $PATIENCE = 10;    # seconds that a beat may go unanswered

# ports of the hosts, sessions, start (seconds since 1970 of the script's zero), file for the record.
sub start {
    my ($class, %o) = @_;
    my $self = bless {%o}, $class;
    $self->{process} = Heartbeat::Process->run_code(sender => sub { $self->run });
    return $self;
}

sub finished { my ($self) = @_; return !$self->{process}->running }

# What was sent, after it has finished: { id, host, asked, answered (ms), active, leave, status }; status 0 is no answer.
sub record {
    my ($self) = @_;
    open my $in, '<', $self->{file} or die "a sender left no record: $self->{file}\n";
    my @fields = qw(id host asked answered active leave status);
    return map { my %beat; @beat{@fields} = split; \%beat } <$in>;
}

sub run {
    my ($self) = @_;
    open $self->{out}, '>', "$self->{file}.part" or die $!;
    $self->{alive} = [ map {1} @{ $self->{ports} } ];
    $self->{idle} = [ map { [] } @{ $self->{ports} } ];
    $self->{connections} = {};    # descriptor => connection, busy or idle
    $self->{waiting} = {};        # session => beats that came due before the one before was answered
    $self->{watched} = '';
    my @due = sort { $a->[0] <=> $b->[0] }
        map { my $s = $_; map { [ $self->{start} + $_->{at} / 1000, $s, $_ ] } @{ $s->{beats} } } @{ $self->{sessions} };
    my $next = 0;
    while ($next < @due || grep { $_->{beat} } values %{ $self->{connections} }) {
        my $now = time;
        while ($next < @due && $due[$next][0] <= $now) {
            my (undef, $session, $beat) = @{ $due[ $next++ ] };
            if ($self->{waiting}{ $session->{id} }) { push @{ $self->{waiting}{ $session->{id} } }, $beat }
            else { $self->beat($session, $beat) }
        }
        my $pause = $next < @due ? $due[$next][0] - time : 0.05;
        $self->listen($pause < 0 ? 0 : $pause > 0.05 ? 0.05 : $pause);
    }
    close $self->{out};
    rename "$self->{file}.part", $self->{file};
}

# Sends a beat to its host, or to the next one that lives.
sub beat {
    my ($self, $session, $beat) = @_;
    my $hosts = @{ $self->{ports} };
    $self->{waiting}{ $session->{id} } //= [];
    my @others = grep { $_ != $beat->{host} } 0 .. $hosts - 1;
    for my $host ($beat->{host}, rand() < 0.5 ? @others : reverse @others) {
        my $c = $self->connection($host) or next;
        my $body = "session=$session->{id}" . ($beat->{leave} ? '&leave=1' : "&active=$beat->{active}")
            . ($beat->{named} ? "&user=$session->{user}" : '');
        my $request = "POST /hb/beat HTTP/1.1\r\nHost: one.test\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
        @$c{qw(session beat buffer asked)} = ($session, $beat, '', time);
        my $sent = syswrite $c->{socket}, $request;
        return if defined $sent && $sent == length $request;
        $self->lost($c);    # which sends the beat again
        return;
    }
    $self->note($beat, $session, -1, time, time, 0);    # nobody is there
    $self->next_of($session);
}

sub connection {
    my ($self, $host) = @_;
    return if !$self->{alive}[$host];
    my $c = pop @{ $self->{idle}[$host] };
    return $c if $c;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{ports}[$host], Timeout => 5);
    if (!$socket) { $self->{alive}[$host] = 0; return }
    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
    $socket->blocking(0);
    $c = { socket => $socket, host => $host, descriptor => fileno $socket };
    vec($self->{watched}, $c->{descriptor}, 1) = 1;
    return $self->{connections}{ $c->{descriptor} } = $c;
}

sub listen {
    my ($self, $pause) = @_;
    my $ready = $self->{watched};
    my $n = select $ready, undef, undef, $pause;
    my $now = time;
    my @open = values %{ $self->{connections} };
    for my $c (@open) {
        next if ($self->{connections}{ $c->{descriptor} } // 0) != $c;    # went with another one that was lost
        if ($n > 0 && vec $ready, $c->{descriptor}, 1) { $self->hear($c) }
        elsif ($c->{beat} && $now - $c->{asked} > $PATIENCE) { $self->lost($c) }
    }
}

sub hear {
    my ($self, $c) = @_;
    my $n = sysread $c->{socket}, $c->{buffer}, 16_384, length($c->{buffer} // '');
    return if !defined $n && ($!{EAGAIN} || $!{EINTR});
    return $self->lost($c) if !$n;
    return if index($c->{buffer}, "\r\n\r\n") < 0;
    my ($status) = $c->{buffer} =~ m{\AHTTP/1\.1 (\d{3}) };
    my ($session, $beat, $asked) = @$c{qw(session beat asked)};
    $self->note($beat, $session, $c->{host}, $asked, time, $status // 0) if $beat;
    delete @$c{qw(session beat)};
    # What has a body is not an answer to a beat; such a connection is of no more use.
    if (($status // 0) != 204 || $c->{buffer} =~ /^connection: *close/im) { $self->drop($c) }
    else { push @{ $self->{idle}[ $c->{host} ] }, $c }
    $self->next_of($session) if $session;
}

# A connection ended. A beat on it may have been heard, and is sent once more; the others of this host that nobody uses
# have perhaps ended as well.
sub lost {
    my ($self, $c) = @_;
    my ($session, $beat) = @$c{qw(session beat)};
    $self->drop($c);
    return if !$beat;
    $self->drop($_) for @{ $self->{idle}[ $c->{host} ] };
    $self->note($beat, $session, $c->{host}, $c->{asked}, time, 0);
    $self->beat($session, $beat);
}

sub drop {
    my ($self, $c) = @_;
    my $host = $c->{host};
    vec($self->{watched}, $c->{descriptor}, 1) = 0;
    delete $self->{connections}{ $c->{descriptor} };
    $self->{idle}[$host] = [ grep { $_ != $c } @{ $self->{idle}[$host] } ];
    close $c->{socket};
}

sub note {
    my ($self, $beat, $session, $host, $asked, $answered, $status) = @_;
    printf { $self->{out} } "%s %d %.3f %.3f %d %d %d\n", $session->{id}, $host, 1000 * $asked, 1000 * $answered,
        $beat->{active}, $beat->{leave}, $status;
}

# The next beat of a session, if it came due while this one was under way.
sub next_of {
    my ($self, $session) = @_;
    my $waiting = $self->{waiting}{ $session->{id} };
    my $beat = $waiting && shift @$waiting;
    if ($beat) { $self->beat($session, $beat) }
    else { delete $self->{waiting}{ $session->{id} } }
}

1;
