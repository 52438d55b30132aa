# A client of raw sockets: what it sends and what it got are bytes, so that tests can speak about bytes.
package Heartbeat::Client;
use strict;
use warnings;
use Errno ();
use IO::Socket::INET;
use IO::Select;
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time sleep);

# port, host (the Host header), tls => 1, timeout (seconds).
sub new {
    my ($class, %o) = @_;
    my $self = bless { host => 'one.test', timeout => 10, buffer => '', %o }, $class;
    $self->{socket} = $o{tls} ? $self->connect_tls : $self->connect_plain;
    return $self->{socket} ? $self : undef;
}

sub connect_plain {
    my ($self) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}, Timeout => 5) or return;
    setsockopt($socket, IPPROTO_TCP, TCP_NODELAY, 1);
    return $socket;
}

sub connect_tls {
    my ($self) = @_;
    require IO::Socket::SSL;
    return IO::Socket::SSL->new(
        PeerAddr => '127.0.0.1', PeerPort => $self->{port}, Timeout => 5,
        SSL_hostname => $self->{host}, SSL_verify_mode => 0,
        SSL_alpn_protocols => ['http/1.1'],
    );
}

sub socket { $_[0]{socket} }
sub local_port { $_[0]{socket}->sockport }

sub send {
    my ($self, $bytes) = @_;
    my $at = 0;
    while ($at < length $bytes) {
        my $n = syswrite $self->{socket}, $bytes, length($bytes) - $at, $at;
        return 0 if !defined $n;
        $at += $n;
    }
    return 1;
}

# Sends the pieces with a pause between them.
sub send_pieces {
    my ($self, $pause, @pieces) = @_;
    for my $i (0 .. $#pieces) {
        sleep $pause if $i;
        $self->send($pieces[$i]) or return 0;
    }
    return 1;
}

# One more read into the buffer: 1 got bytes, 0 the peer closed, undef nothing came in time.
sub fill {
    my ($self, $seconds) = @_;
    my ($socket, $end) = ($self->{socket}, time + $seconds);
    if (!($socket->can('pending') && $socket->pending)) {
        my $select = IO::Select->new($socket);
        $! = 0;
        # A signal to a load generator must not look like an answer that never came.
        until ($select->can_read($seconds)) {
            return undef if !$!{EINTR} || ($seconds = $end - time) <= 0;
            $! = 0;
        }
    }
    my $n;
    do { $n = sysread $socket, $self->{buffer}, 65536, length $self->{buffer} } while !defined $n && $!{EINTR};
    return $n ? 1 : 0;
}

sub request_bytes {
    my ($self, $method, $target, %o) = @_;
    my $version = $o{version} // '1.1';
    my @headers = @{ $o{headers} // [] };
    unshift @headers, "Host: $self->{host}" if !grep { /^host:/i } @headers;
    push @headers, 'Content-Length: ' . length $o{body} if defined $o{body};
    return join('', "$method $target HTTP/$version\r\n", map({"$_\r\n"} @headers), "\r\n") . ($o{body} // '');
}

# One exchange. Returns the response, or undef if none came.
sub request {
    my ($self, $method, $target, %o) = @_;
    $self->send($self->request_bytes($method, $target, %o)) or return;
    return $self->response($method);
}

# Reads exactly one response: status, headers (lower case => joined values), head (raw), body, raw.
sub response {
    my ($self, $method) = @_;
    my $end = time + $self->{timeout};
    while ($self->{buffer} !~ /\r\n\r\n/) {
        my $left = $end - time;
        return if $left <= 0 || !$self->fill($left);
    }
    $self->{buffer} =~ s/\A(.*?\r\n\r\n)//s;
    my $r = parse_head($1) or return;
    $r->{body} = $self->read_body($r, $method // 'GET', $end) // return;
    $r->{raw} = $r->{head} . $r->{body};
    return $r;
}

sub parse_head {
    my ($head) = @_;
    my ($version, $status, $reason) = $head =~ m{\AHTTP/(\d\.\d) (\d{3})(?: ([^\r\n]*))?\r\n} or return;
    my %headers;
    for my $line (split /\r\n/, $head) {
        next if $line !~ /^([^:\s]+):\s*(.*?)\s*$/;
        my $name = lc $1;
        $headers{$name} = defined $headers{$name} ? "$headers{$name}, $2" : $2;
    }
    return bless { version => $version, status => $status, reason => $reason, headers => \%headers, head => $head },
        'Heartbeat::Client::Response';
}

sub read_body {
    my ($self, $r, $method, $end) = @_;
    return '' if $method eq 'HEAD' || $r->{status} =~ /^(1\d\d|204|304)$/;
    my $more = sub { my $left = $end - time; $left > 0 && $self->fill($left) };
    if (lc($r->{headers}{'transfer-encoding'} // '') eq 'chunked') {
        my $body = '';
        while (1) {
            while ($self->{buffer} !~ /\r\n/) { $more->() or return }
            $self->{buffer} =~ s/\A([0-9a-fA-F]+)[^\r\n]*\r\n// or return;
            my $size = hex $1;
            while (length $self->{buffer} < $size + 2) { $more->() or return }
            $body .= substr $self->{buffer}, 0, $size;
            substr $self->{buffer}, 0, $size + 2, '';
            return $body if !$size;
        }
    }
    if (defined(my $length = $r->{headers}{'content-length'})) {
        while (length $self->{buffer} < $length) { $more->() or return }
        return substr $self->{buffer}, 0, $length, '';
    }
    1 while $more->();
    return substr $self->{buffer}, 0, length $self->{buffer}, '';
}

# Everything that comes within so many seconds, or until the peer closes.
sub rest {
    my ($self, $seconds) = @_;
    my $end = time + $seconds;
    while ((my $left = $end - time) > 0) { last if !$self->fill($left) }
    return substr $self->{buffer}, 0, length $self->{buffer}, '';
}

# Waits until the peer closes; returns how long that took, or undef if it did not.
sub until_closed {
    my ($self, $at_most) = @_;
    my $start = time;
    while ((my $left = $start + $at_most - time) > 0) {
        my $got = $self->fill($left);
        return time - $start if defined $got && !$got;
    }
    return;
}

# True if the peer has not closed by now.
sub open { my ($self) = @_; return !defined $self->until_closed($_[1] // 0.05) }

sub half_close { shutdown $_[0]{socket}, 1 }
sub close { my ($self) = @_; CORE::close(delete $self->{socket}) if $self->{socket} }

package Heartbeat::Client::Response;
sub status { $_[0]{status} }
sub header { $_[0]{headers}{ lc $_[1] } }
sub head { $_[0]{head} }
sub body { $_[0]{body} }
sub raw { $_[0]{raw} }

1;
