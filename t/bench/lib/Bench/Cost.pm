# What a ping costs: instructions, system calls, processor time, bytes, latency.
package Bench::Cost;
use strict;
use warnings;
use Exporter 'import';
use IO::Socket::INET;
use Time::HiRes qw(time sleep);
our @EXPORT_OK = qw(connection ping_over instructions flush_instructions system_calls wrk load_requests cpu_time answer_bytes latency median);

sub median { my @sorted = sort { $a <=> $b } @_; return $sorted[ $#sorted / 2 ] }
sub slurp { my ($path) = @_; open my $f, '<', $path or return ''; local $/; return <$f> }

sub connection {
    my ($port) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 10) or die "port $port: $!\n";
    $socket->sockopt(IO::Socket::TCP_NODELAY(), 1) if IO::Socket->can('TCP_NODELAY');
    return $socket;
}

# One ping after another over one connection; returns the last answer.
sub ping_over {
    my ($socket, $count, $sessions) = @_;
    my $answer = '';
    for my $n (1 .. $count) {
        syswrite $socket, sprintf "HEAD /p HTTP/1.1\r\nHost: bench.test\r\nCookie: hb=%026x\r\n\r\n", 0x1234567 * ($n % $sessions + 1);
        $answer = '';
        sysread $socket, $answer, 4096, length $answer or die "closed\n" while index($answer, "\r\n\r\n") < 0;
        die "not a 204: $answer\n" if $answer !~ m{^HTTP/1.1 204 };
    }
    return $answer;
}

sub answer_bytes { my ($port) = @_; return length ping_over(connection($port), 2, 1) }

# User instructions per ping of each answer of a server that runs under callgrind: one process for all, so that they
# find the same heap; the counters are set to zero after a warm-up, so that neither start nor connecting counts.
sub instructions {
    my ($server, $pings, $sessions, @names) = @_;
    my %socket = map { $_ => connection($server->port($_)) } @names;
    ping_over($socket{$_}, $sessions > 1000 ? $sessions : 1000, $sessions) for @names;
    sleep 2;
    my %per_ping;
    for my $round (1 .. 3) {
        for my $name (@names) {
            control($server, '-z');
            ping_over($socket{$name}, $pings, $sessions);
            push @{ $per_ping{$name} }, counted($server) / $pings;
        }
    }
    return { map { $_ => median(@{ $per_ping{$_} }) } @names };
}

# User instructions that carrying one session, which Redis knows, there takes, later: 1,000 pings and the pass after them,
# less what the pings take, and less what idling takes.
sub flush_instructions {
    my ($server, $name, $per_ping) = @_;
    my $socket = connection($server->port($name));
    my @sums;
    ping_over($socket, 1000, 1000);
    for my $pings (1000, 0) {
        sleep 2.5;
        control($server, '-z');
        ping_over($socket, $pings, 1000) if $pings;
        sleep 3;
        push @sums, counted($server);
    }
    return ($sums[0] - $sums[1]) / 1000 - $per_ping;
}

sub control { my ($server, @words) = @_; system("@{[Bench::Servers::unprivileged()]} timeout 30 callgrind_control @words @{[$server->pid]} >/dev/null 2>&1") == 0 or die "callgrind_control failed\n" }

sub counted {
    my ($server) = @_;
    control($server, '-d');
    my $total = 0;
    for my $path (glob "$server->{dir}/callgrind.out*") {
        my ($sum) = slurp($path) =~ /^totals: (\d+)/m;
        $total += $sum // 0;
        unlink $path;
    }
    return $total;
}

# System calls per ping by name, of all that the answering processes do meanwhile: the difference of two runs.
sub system_calls {
    my ($server, $port, $sessions) = @_;
    my ($few, $many) = map { traced($server, $port, $_, $sessions) } 500, 2500;
    my %per_ping = map { $_ => (($many->{$_} // 0) - ($few->{$_} // 0)) / 2000 } keys %$many;
    return { map { $_ => $per_ping{$_} } grep { $per_ping{$_} > 0.05 } keys %per_ping };
}

sub traced {
    my ($server, $port, $pings, $sessions) = @_;
    my $socket = connection($port);
    ping_over($socket, 20, $sessions);
    my $log = "$server->{dir}/strace";
    my $strace = Heartbeat::Process->spawn(
        command => ['strace', '-f', '-qq', '-o', $log, map { ('-p', $_) } $server->workers], output => "$log.out");
    sleep 0.7;
    ping_over($socket, $pings, $sessions);
    sleep 0.1;
    $strace->stop('INT', 5);
    my %count;
    $count{$_}++ for slurp($log) =~ /^\d+ +(\w+)\(/mg;
    return \%count;
}

# Nanoseconds that all threads of the answering processes have run.
sub cpu_time {
    my ($server) = @_;
    my $sum = 0;
    for my $path (map { glob "/proc/$_/task/*/schedstat" } $server->workers) {
        my ($ran) = split ' ', slurp($path) // 0;
        $sum += $ran // 0;
    }
    return $sum;
}

# Full load for some seconds. Returns pings answered, pings per second, server's CPU time per ping in microseconds.
sub wrk {
    my ($server, $name, $seconds, $here, @ids) = @_;
    return full_load($server, sub {
        my $output = `taskset -c 1 wrk -t1 -c32 -d${seconds}s --timeout 10s -s $here/pings.lua http://127.0.0.1:@{[$server->port($name)]}/p -- @ids 2>&1`;
        die "wrk: $output" if $output =~ /Non-2xx|Socket errors: .*read [1-9]/;
        return $output =~ /(\d+) requests in/, $output =~ m{Requests/sec: +([\d.]+)};
    });
}

# The same with requests of a file, as write_requests() makes it, by what takes less than wrk.
sub load_requests {
    my ($server, $name, $seconds, $connections, $file, $own) = @_;
    return full_load($server, sub { split ' ', `taskset -c 1 $ENV{BUILD}/t/load @{[$server->port($name)]} $connections $seconds $file @{[$own // '']}` });
}

sub full_load {
    my ($server, $load) = @_;
    my $before = cpu_time($server);
    my ($pings, $rate) = $load->();
    my $cpu = cpu_time($server) - $before;
    die "no load\n" if !$pings;
    return { pings => $pings, rate => $rate, cpu => $cpu / 1000 / $pings };
}

# A light and steady probe: one ping at a time to each of the ports in turn, 200 a second each. Returns the times in
# microseconds by port, sorted.
sub latency {
    my ($seconds, $meanwhile, @ports) = @_;
    my %socket = map { $_ => connection($_) } @ports;
    ping_over($_, 3, 1000) for values %socket;
    my %times;
    my ($began, $next) = (time, time);
    while ($next < $began + $seconds) {
        for my $port (@ports) {
            my $sent = time;
            ping_over($socket{$port}, 1, 1);
            push @{ $times{$port} }, (time - $sent) * 1e6;
        }
        $meanwhile->() if $meanwhile;
        $next += 0.005;
        my $rest = $next - time;
        sleep $rest if $rest > 0;
    }
    return { map { $_ => [sort { $a <=> $b } @{ $times{$_} }] } @ports };
}

1;
