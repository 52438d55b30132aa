# Clients that send beacons as fast as they are asked to, and a record of what each was answered; then what of it is in Redis.
package Heartbeat::BeaconLoad;
use strict;
use warnings;
use Heartbeat::Client;
use Heartbeat::Process;
use Heartbeat::Token;
use Time::HiRes qw(time sleep);

my $count = 0;

# ports => [of the servers, in turn], dir, secret, clients => 4, rate => beacons a second in all, host, target, batches => of one page view.
sub start {
    my ($class, %o) = @_;
    my $self = bless { clients => 4, rate => 1000, host => 'one.test', target => '/hb/beacon', batches => 20, %o }, $class;
    $self->{number} = ++$count;
    for my $n (1 .. $self->{clients}) {
        my $file = "$self->{dir}/beacons-$count-$n";
        push @{ $self->{files} }, $file;
        push @{ $self->{processes} }, Heartbeat::Process->run_code(beacons => sub { $self->client($n, $file) });
    }
    return $self;
}

# One line for each beacon: page view, number, status (0: no answer).
sub client {
    my ($self, $n, $file) = @_;
    my $going = 1;
    $SIG{TERM} = sub { $going = 0 };
    open my $out, '>', "$file.part" or die $!;
    my ($connection, $view, $token, $turn) = (undef, '', '', 0);
    my $begin = time;
    while ($going) {
        my $number = $turn % $self->{batches};
        if ($number == 0) {
            $view = "load$self->{number}-$n-$turn";
            $token = Heartbeat::Token::mint($self->{secret}, vid => $view);
        }
        print $out "$view $number ", $self->send(\$connection, $n + $turn, $token, $number), "\n";
        my $ahead = $begin + ++$turn * $self->{clients} / $self->{rate} - time;
        sleep $ahead if $ahead > 0;
    }
    close $out;
    rename "$file.part", $file;
}

sub send {
    my ($self, $connection, $turn, $token, $number) = @_;
    my @ports = @{ $self->{ports} };
    $$connection //= Heartbeat::Client->new(port => $ports[ $turn % @ports ], host => $self->{host}, timeout => 15);
    return 0 if !$$connection && !sleep 0.01;
    my $final = $number == $self->{batches} - 1 ? '&f=1&e=leave' : '';
    my $r = $$connection && $$connection->request('POST', "$self->{target}?v=$token&n=$number$final", body => "$number " . 'x' x 500);
    my $keeps = $r && ($r->header('connection') // '') !~ /close/i;
    $$connection = undef if !$keeps;
    return $r ? $r->status : 0;
}

# Stops the clients. What was sent: page view -> number -> [status...].
sub finish {
    my ($self) = @_;
    $_->signal('TERM') for @{ $self->{processes} };
    $_->stop('TERM', 20) for @{ $self->{processes} };
    my %sent;
    for my $file (@{ $self->{files} }) {
        open my $in, '<', $file or die "a client left no report: $file\n";
        while (<$in>) { my ($view, $number, $status) = split; push @{ $sent{$view}{$number} }, $status }
    }
    return \%sent;
}

# How often each batch is in the stream of a site: page view -> number -> times.
sub streamed {
    my ($redis, $site) = @_;
    my (%times, $from);
    $from = '-';
    while (1) {
        my $entries = $redis->call('XRANGE', "hb:{$site}:beacons", $from, '+', 'COUNT', 1000);
        last if !@$entries;
        for (@$entries) { my %f = @{ $_->[1] }; $times{ $f{view} }{ $f{n} }++ }
        $from = "($entries->[-1][0]";
    }
    return \%times;
}

# What of all that was answered with 204 is not there, and what is there more than once.
sub wrong {
    my ($sent, $times) = @_;
    my (@lost, @doubled);
    for my $view (keys %$sent) {
        for my $number (keys %{ $sent->{$view} }) {
            push @lost, "$view $number" if !$times->{$view}{$number} && grep { $_ == 204 } @{ $sent->{$view}{$number} };
        }
    }
    for my $view (keys %$times) { push @doubled, map {"$view $_"} grep { $times->{$view}{$_} > 1 } keys %{ $times->{$view} } }
    return (\@lost, \@doubled);
}

sub acked { my ($sent) = @_; my $n = 0; for (values %$sent) { for my $s (values %$_) { $n += grep { $_ == 204 } @$s } } return $n }

1;
