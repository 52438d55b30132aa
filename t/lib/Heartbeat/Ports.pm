# Free loopback ports. A port stays reserved for the whole test: tests run side by side.
package Heartbeat::Ports;
use strict;
use warnings;
use Socket qw(AF_UNIX AF_INET SOCK_STREAM SOL_SOCKET SO_REUSEADDR pack_sockaddr_un pack_sockaddr_in inet_aton);

my @reserved;

# Below the range that the kernel gives to outgoing connections. The reservation is an abstract socket's name.
sub free {
    for (1 .. 500) {
        my $port = 12000 + int rand 20000;
        socket my $name, AF_UNIX, SOCK_STREAM, 0 or die "socket: $!";
        bind $name, pack_sockaddr_un("\0heartbeat-test-port-$port") or next;
        socket my $probe, AF_INET, SOCK_STREAM, 0 or die "socket: $!";
        setsockopt $probe, SOL_SOCKET, SO_REUSEADDR, 1;
        bind $probe, pack_sockaddr_in($port, inet_aton('127.0.0.1')) or next;
        push @reserved, $name;
        return $port;
    }
    die "no free port\n";
}

1;
