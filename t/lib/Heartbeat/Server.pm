# What both servers have in common: files, start, stop, the error log. The drivers below it know the rest.
package Heartbeat::Server;
use strict;
use warnings;
use Cwd ();
use File::Copy ();
use File::Path qw(make_path);
use Heartbeat::Client;
use Heartbeat::Ports;
use Heartbeat::Process;
use Heartbeat::Server::Nginx;
use Heartbeat::Server::Apache;
use Time::HiRes qw(time sleep);

my $count = 0;
my @all;

sub kind { $ENV{HEARTBEAT_SERVER} // 'nginx' }
sub all { @all }

# kind => server under test if not given; dir; main => [[setting, args...]...]; vhosts => [...]; native_main_nginx/_apache;
# extra_modules_before/_after => [paths]; without_module => 1; clock => '+300s': its wall clock is so far off.
sub make {
    my ($class, %o) = @_;
    my $kind = $o{kind} // kind();
    my $driver = $kind eq 'nginx' ? 'Heartbeat::Server::Nginx' : 'Heartbeat::Server::Apache';
    my $self = bless { main => [], vhosts => [], %o, kind => $kind }, $driver;
    $self->{dir} = "$o{dir}/" . $self->name . ++$count;
    make_path(map {"$self->{dir}/$_"} qw(htdocs tmp run));
    chmod 0777, map {"$self->{dir}/$_"} qw(htdocs tmp run);
    $self->{port} = Heartbeat::Ports::free();
    $self->{tls_port} = Heartbeat::Ports::free() if grep { $_->{tls} } @{ $self->{vhosts} };
    push @all, $self;
    return $self;
}

sub is_nginx { $_[0]{kind} eq 'nginx' }
sub is_apache { $_[0]{kind} ne 'nginx' }
sub is_prefork { $_[0]{kind} eq 'apache-prefork' }
sub port { $_[0]{port} }
sub tls_port { $_[0]{tls_port} }
sub pid { $_[0]{process}->pid }

sub module_path {
    my ($self) = @_;
    my $build = $ENV{HEARTBEAT_BUILD} // (sanitized() ? 'build/sanitize' : 'build');
    return Cwd::abs_path($build) . '/' . $self->module_file;
}

# The module as this test loads it: a copy, so that a build meanwhile does not change a file that a running server has mapped.
sub module_copy {
    my ($self) = @_;
    my ($from, $to) = ($self->module_path, "$self->{dir}/" . $self->module_file);
    File::Copy::copy($from, $to) || die "$from: $!\n" if !-e $to;
    return $to;
}

sub sanitized { $ENV{HEARTBEAT_SANITIZE} }

# The sanitizer runtime has to be the first library of a server that was not built with it.
sub environment {
    my ($self) = @_;
    my @libraries = sanitized() ? map({ my $path = `gcc -print-file-name=$_`; chomp $path; $path } qw(libasan.so libubsan.so)) : ();
    push @libraries, glob '/usr/lib/*/faketime/libfaketimeMT.so.1' if $self->{clock};
    return {
        @libraries ? (LD_PRELOAD => "@libraries") : (),
        $self->{clock} ? (FAKETIME => $self->{clock}, FAKETIME_DONT_FAKE_MONOTONIC => 1) : (),
        !sanitized() ? () : (
            ASAN_OPTIONS => 'detect_leaks=' . ($ENV{HEARTBEAT_LEAKS} // 1) . ':abort_on_error=0:halt_on_error=0:verify_asan_link_order=0:quarantine_size_mb=8',
            LSAN_OPTIONS => 'suppressions=' . Cwd::abs_path("$FindBin::Bin/../lib/leaks-of-@{[ $self->is_nginx ? 'nginx' : 'apache' ]}.txt"),
            UBSAN_OPTIONS => 'print_stacktrace=1',
        ),
    };
}

sub config_path { my ($self) = @_; return "$self->{dir}/" . $self->name . '.conf' }
sub log_path { $_[0]{dir} . '/error.log' }

sub write_config {
    my ($self) = @_;
    for my $vhost (@{ $self->{vhosts} }) {
        for my $path (keys %{ $vhost->{locations} // {} }) {
            next if $vhost->{locations}{$path}{endpoint};
            my ($folder) = "$self->{dir}/htdocs$path" =~ m{^(.*)/};
            make_path($folder);
            write_file("$self->{dir}/htdocs$path", "ok\n") if $path !~ m{/$};
        }
    }
    $self->certificate if $self->{tls_port};
    write_file($self->config_path, $self->config);
    return $self;
}

sub certificate {
    my ($self) = @_;
    return if -e "$self->{dir}/cert.pem";
    system "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=one.test "
        . "-keyout $self->{dir}/key.pem -out $self->{dir}/cert.pem >/dev/null 2>&1";
}

sub write_file {
    my ($path, $text) = @_;
    open my $file, '>', $path or die "$path: $!";
    print $file $text;
    close $file;
}

# Is the configuration accepted? Returns the exit code and what the server said.
# The configuration as the server itself shows it.
sub dump { my ($self) = @_; return ($self->configtest($self->dump_words))[1] }

sub configtest {
    my ($self, @words) = @_;
    $self->write_config;
    my $out = "$self->{dir}/configtest.out";
    unlink $out;
    my $test = Heartbeat::Process->spawn(
        name => 'configtest', command => [ $self->test_command, @words ], env => $self->environment, output => $out);
    $test->wait_exit(20);
    my $text = slurp($out);
    my $code = defined $test->{status} ? $test->{status} >> 8 || $test->{status} & 127 : -1;
    $test->stop;
    return ($code, $text);
}

sub start {
    my ($self) = @_;
    $self->write_config;
    $self->{process} = Heartbeat::Process->spawn(
        name => $self->name, command => [ $self->start_command ], env => $self->environment, output => "$self->{dir}/out");
    my $end = time + 20;
    until ($self->ready) {
        if (time > $end || !$self->{process}->running) {
            my $why = slurp("$self->{dir}/out") . $self->error_log;
            die $self->name . " does not start:\n$why\n";
        }
        sleep 0.02;
    }
    return $self;
}

sub ready {
    my ($self) = @_;
    my @workers = $self->workers or return 0;
    my $client = Heartbeat::Client->new(port => $self->{port}) or return 0;
    $client->close;
    return 1;
}

# Processes whose parent is the server.
sub workers {
    my ($self) = @_;
    my $master = $self->pid;
    my @pids;
    for my $stat (glob '/proc/[0-9]*/stat') {
        my $text = slurp($stat);
        my ($pid, $state, $parent) = $text =~ /^(\d+) \(.*\) (\w) (\d+)/s or next;
        push @pids, $pid if $parent == $master && $state ne 'Z';
    }
    return @pids;
}

sub stop { my ($self) = @_; return $self->{process} ? $self->{process}->stop('TERM', 15) : 1 }
sub quit { my ($self) = @_; return $self->{process}->stop($self->quit_signal, 20) }

# Takes the (perhaps changed) settings into use without losing a connection.
sub reload {
    my ($self) = @_;
    $self->write_config;
    my $mark = $self->reload_count;
    $self->{process}->signal($self->reload_signal);
    my $end = time + 10;
    sleep 0.02 until $self->reload_count > $mark || time > $end;
    return $self;
}

sub error_log { my ($self) = @_; return slurp($self->log_path) . (-e "$self->{dir}/out" ? slurp("$self->{dir}/out") : '') }

sub slurp {
    my ($path) = @_;
    open my $file, '<', $path or return '';
    local $/;
    return scalar(<$file>) // '';
}

# A connection to it. Options as in Heartbeat::Client.
sub connect {
    my ($self, %o) = @_;
    my $port = $o{tls} ? $self->{tls_port} : $self->{port};
    return Heartbeat::Client->new(port => $port, host => $self->{vhosts}[0]{name}, %o);
}

# One request on a connection of its own.
sub fetch {
    my ($self, $method, $target, %o) = @_;
    my %connection = map { $_ => delete $o{$_} } grep { exists $o{$_} } qw(host tls timeout);
    my $client = $self->connect(%connection) or return;
    my $response = $client->request($method, $target, %o);
    $client->close;
    return $response;
}

# A ping of a session, by default from the cookie.
sub ping {
    my ($self, $id, %o) = @_;
    my $target = delete $o{target} // '/hb/ping';
    my $method = delete $o{method} // 'HEAD';
    $o{headers} = [ @{ $o{headers} // [] }, "Cookie: hb=$id" ] if defined $id;
    return $self->fetch($method, $target, %o);
}

# The worker that holds a local TCP port as a client: who talks to Redis?
sub worker_with_port {
    my ($self, $port) = @_;
    my $hex = sprintf ':%04X', $port;
    # Connections of others to other peers may have the same port, those that wait for their end among them.
    my %socket = map { ('socket:[' . (split)[9] . ']' => 1) } grep { ((split)[1] // '') =~ /$hex$/ } split /\n/, slurp('/proc/net/tcp');
    for my $pid ($self->workers) {
        for my $fd (glob "/proc/$pid/fd/*") {
            return $pid if $socket{ readlink($fd) // '' };
        }
    }
    return;
}

1;
