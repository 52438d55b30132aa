# Child processes of a test: each runs in its own process group, dies with the test, and leaves nothing behind.
package Heartbeat::Process;
use strict;
use warnings;
use Config;
use POSIX ();
use Time::HiRes qw(time sleep);

my %live;    # pid => the test process that owns it
my $PR_SET_PDEATHSIG = 1;

$SIG{$_} = sub { exit 130 } for qw(INT TERM HUP);
$SIG{PIPE} = 'IGNORE';

# Starts a command; its output goes to a file. Options: env => {...}, output => path.
sub spawn {
    my ($class, %o) = @_;
    my @command = @{ $o{command} };
    my $test = $$;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        POSIX::setpgid(0, 0);
        follow_parent($test);
        $ENV{$_} = $o{env}{$_} for keys %{ $o{env} // {} };
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $o{output} // '/dev/null';
        open STDERR, '>&', \*STDOUT;
        exec { $command[0] } @command or POSIX::_exit(127);
    }
    POSIX::setpgid($pid, $pid);
    $live{$pid} = $$;
    return bless { pid => $pid, name => $o{name} // $command[0] }, $class;
}

# Runs Perl code in a child that never returns into the test.
sub run_code {
    my ($class, $name, $code) = @_;
    my $test = $$;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        POSIX::setpgid(0, 0);
        %live = ();
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        follow_parent($test);
        eval { $code->(); 1 } or print STDERR "# $name: $@";
        POSIX::_exit(0);
    }
    POSIX::setpgid($pid, $pid);
    $live{$pid} = $$;
    return bless { pid => $pid, name => $name }, $class;
}

# The kernel tells the child when the test dies, even by kill -9.
sub follow_parent {
    my ($test) = @_;
    my $arch = $Config{archname};
    my $number = $arch =~ /^x86_64/ ? 157 : $arch =~ /^aarch64/ ? 167 : return;
    syscall($number, $PR_SET_PDEATHSIG, 15, 0, 0, 0);
    POSIX::_exit(1) if getppid() != $test;
}

sub pid { $_[0]{pid} }

sub running {
    my ($self) = @_;
    return 0 if !$self->{pid} || defined $self->{status};
    return 1 if waitpid($self->{pid}, POSIX::WNOHANG()) == 0;
    $self->{status} = $?;
    return 0;
}

sub signal { kill $_[1], $_[0]{pid} }

sub wait_exit {
    my ($self, $seconds) = @_;
    my $end = time + $seconds;
    while ($self->running) {
        return 0 if time > $end;
        sleep 0.01;
    }
    return 1;
}

# Ends it politely, then firmly, and takes its process group with it. True if it left by itself in time.
sub stop {
    my ($self, $signal, $seconds) = @_;
    return 1 if !$self->{pid};
    local $?;
    $self->signal($signal // 'TERM') if $self->running;
    my $polite = $self->wait_exit($seconds // 10);
    kill 'KILL', -$self->{pid};
    $self->wait_exit(5);
    delete $live{ $self->{pid} };
    return $polite;
}

END {
    my $status = $?;
    for my $pid (grep { $live{$_} == $$ } keys %live) {
        kill 'CONT', -$pid;
        kill 'TERM', $pid;
        my $end = time + 2;
        while (waitpid($pid, POSIX::WNOHANG()) == 0 && time < $end) { sleep 0.02 }
        kill 'KILL', -$pid;
        waitpid($pid, 0);
    }
    $? = $status;
}

1;
