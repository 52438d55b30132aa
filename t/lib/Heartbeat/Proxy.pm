# A TCP proxy in front of Redis that misbehaves on command. It forwards one command at a time, so it knows which answer belongs to which.
package Heartbeat::Proxy;
use strict;
use warnings;
use Heartbeat::Ports;
use Heartbeat::Process;
use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Socket;

# to => port of the real Redis.
sub new {
    my ($class, %o) = @_;
    my $self = bless { port => Heartbeat::Ports::free(), %o }, $class;
    socketpair my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die "socketpair: $!";
    $_->autoflush(1) for $ours, $theirs;
    $self->{process} = Heartbeat::Process->run_code(proxy => sub { close $ours; serve($self, $theirs) });
    close $theirs;
    $self->{control} = $ours;
    $self->stats;
    return $self;
}

sub port { $_[0]{port} }
sub url { my ($self, $rest) = @_; return "redis://127.0.0.1:$self->{port}" . ($rest // '') }
sub stop { $_[0]{process}->stop }

# pass | blackhole | refuse | cut => {bytes} | replace => {raw, count} | half => {count} | drop => {count, close} | hold.
# The last four concern commands whose name matches {match}, by default EVAL and EVALSHA.
sub mode { my ($self, $name, %o) = @_; return $self->ask({ mode => $name, count => 1, match => '^EVAL', %o }) }

# {commands => {NAME => n}, faults => n, peers => [ports of the server's connections], mode, left}
sub stats { return $_[0]->ask({}) }

sub ask {
    my ($self, $message) = @_;
    my $control = $self->{control};
    print $control encode_json($message), "\n";
    my $line = <$control> // die "the proxy died\n";
    return decode_json($line);
}

sub serve {
    my ($self, $control) = @_;
    my $state = { mode => { mode => 'pass', count => 0, match => '^EVAL' }, commands => {}, faults => 0, connections => {} };
    my $listener = listener($self->{port});
    while (1) {
        my %by_socket;
        for my $c (values %{ $state->{connections} }) { $by_socket{$_} = $c for grep {defined} $c->{client}, $c->{redis} }
        my @sockets = ($control, $listener ? $listener : (), map { ($_->{client}, $_->{redis} // ()) } values %{ $state->{connections} });
        for my $ready (IO::Select->new(@sockets)->can_read(1)) {
            if ($ready == $control) { $listener = command($self, $state, $control, $listener) // $listener; }
            elsif ($listener && $ready == $listener) { accept_one($self, $state, $listener) }
            elsif (my $c = $by_socket{$ready}) { readable($self, $state, $c, $ready) if $state->{connections}{ $c->{id} } }
        }
        $listener = undef if $state->{mode}{mode} eq 'refuse';
    }
}

sub listener { return IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $_[0], Listen => 64, ReuseAddr => 1) || die "proxy: $!" }

sub command {
    my ($self, $state, $control, $listener) = @_;
    my $line = <$control> // POSIX::_exit(0);
    my $message = decode_json($line);
    my $new;
    if ($message->{mode}) {
        $state->{mode} = $message;
        if ($message->{mode} eq 'refuse') {
            close $listener if $listener;
            drop($state, $_) for values %{ $state->{connections} };
        }
        else {
            $new = listener($self->{port}) if !$listener;
            # Silent connections belong to the mode before; whoever waits on one finds it closed.
            if ($message->{mode} eq 'pass') { drop($state, $_) for grep { $_->{silent} } values %{ $state->{connections} } }
            $_->{passed} = 0 for values %{ $state->{connections} };
        }
    }
    print $control encode_json({
        commands => $state->{commands}, faults => $state->{faults}, mode => $state->{mode}{mode}, left => $state->{mode}{count},
        peers => [ map { $_->{peer} } sort { $a->{id} <=> $b->{id} } values %{ $state->{connections} } ],
    }), "\n";
    return $new;
}

my $next_id = 0;

sub accept_one {
    my ($self, $state, $listener) = @_;
    my $client = $listener->accept or return;
    my $silent = $state->{mode}{mode} eq 'blackhole';
    my $redis = $silent ? undef : IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{to}, Timeout => 2);
    return close $client if !$silent && !$redis;
    my $id = ++$next_id;
    $state->{connections}{$id} = {
        id => $id, client => $client, redis => $redis, peer => $client->peerport, silent => $silent,
        asked => '', answered => '', waiting => undef, passed => 0,
    };
}

sub drop {
    my ($state, $c) = @_;
    close $_ for grep {defined} $c->{client}, $c->{redis};
    delete $state->{connections}{ $c->{id} };
}

sub readable {
    my ($self, $state, $c, $socket) = @_;
    my $from_client = $socket == $c->{client};
    my $n = sysread $socket, my $bytes, 65536;
    return drop($state, $c) if !$n;
    return if $c->{silent};
    if ($state->{mode}{mode} eq 'blackhole') { $c->{silent} = 1; $state->{faults}++; return }
    if ($from_client) { $c->{asked} .= $bytes }
    else { $c->{answered} .= $bytes; answer($state, $c) }
    forward($state, $c);
}

# Sends the next whole command on, unless it is one to be answered here.
sub forward {
    my ($state, $c) = @_;
    while ($state->{connections}{ $c->{id} } && !$c->{waiting} && !$c->{silent} && (my $size = frame($c->{asked}, 0))) {
        my $bytes = substr $c->{asked}, 0, $size, '';
        my ($name) = map {uc} $bytes =~ /\A\*\d+\r\n\$\d+\r\n([^\r\n]*)/ ? $1 : $bytes =~ /\A(\S*)/;
        $state->{commands}{$name}++;
        my $mode = $state->{mode};
        my $hit = $mode->{count} > 0 && $mode->{mode} =~ /^(replace|half|drop|hold)$/ && $name =~ /$mode->{match}/;
        if ($hit) { $mode->{count}-- if $mode->{mode} ne 'hold'; $state->{faults}++ }
        if ($hit && $mode->{mode} eq 'replace') { syswrite $c->{client}, $mode->{raw}; next }
        $c->{waiting} = { name => $name, fault => $hit ? { %$mode } : undef };
        my $at = 0;
        while ($at < $size) { $at += syswrite($c->{redis}, $bytes, $size - $at, $at) // return drop($state, $c) }
    }
}

# Hands the answer of Redis back, as far as the mode lets it.
sub answer {
    my ($state, $c) = @_;
    while (my $size = frame($c->{answered}, 0)) {
        my $bytes = substr $c->{answered}, 0, $size, '';
        my $fault = ($c->{waiting} // {})->{fault} // { mode => '' };
        $c->{waiting} = undef;
        if ($fault->{mode} =~ /^(drop|hold)$/) { return $fault->{close} ? drop($state, $c) : ($c->{silent} = 1) }
        if ($fault->{mode} eq 'half') { syswrite $c->{client}, substr $bytes, 0, int($size / 2) || 1; return $c->{silent} = 1 }
        if ($state->{mode}{mode} eq 'cut') {
            my $left = $state->{mode}{bytes} - $c->{passed};
            if ($size > $left) {
                $state->{faults}++;
                syswrite $c->{client}, substr $bytes, 0, $left if $left > 0;
                return drop($state, $c);
            }
        }
        $c->{passed} += $size;
        syswrite $c->{client}, $bytes;
    }
}

# The length of one whole RESP value at an offset, or 0 if it is not all there.
sub frame {
    my ($bytes, $at) = @_;
    my $eol = index $bytes, "\r\n", $at;
    return 0 if $eol < 0;
    my ($type, $rest) = (substr($bytes, $at, 1), substr($bytes, $at + 1, $eol - $at - 1));
    my $size = $eol + 2 - $at;
    return $size if $type !~ /[\$*%~]/ || $rest < 0;
    if ($type eq '$') { my $whole = $size + $rest + 2; return $at + $whole <= length $bytes ? $whole : 0 }
    for (1 .. $rest * ($type eq '%' ? 2 : 1)) {
        my $part = frame($bytes, $at + $size) or return 0;
        $size += $part;
    }
    return $size;
}

1;
