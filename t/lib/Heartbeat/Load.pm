# Clients that ping as browsers do: kept connections, each session with its own cookie, and a record of every answer.
package Heartbeat::Load;
use strict;
use warnings;
use Heartbeat::Client;
use Heartbeat::Process;
use JSON::PP;
use List::Util qw(max min sum0);
use Time::HiRes qw(time sleep);

my $count = 0;

# port, dir, clients => 4, sessions => 40 (in all), pause => seconds between pings of one client, host, target, method.
sub start {
    my ($class, %o) = @_;
    my $self = bless { clients => 4, sessions => 40, pause => 0.004, host => 'one.test', target => '/hb/ping', method => 'HEAD', %o }, $class;
    $self->{number} = ++$count;
    for my $n (1 .. $self->{clients}) {
        my $file = "$self->{dir}/load-$count-$n.json";
        push @{ $self->{files} }, $file;
        push @{ $self->{processes} }, Heartbeat::Process->run_code(load => sub { $self->client($n, $file) });
    }
    return $self;
}

sub client {
    my ($self, $n, $file) = @_;
    my $going = 1;
    $SIG{TERM} = sub { $going = 0 };
    my @ids = map {"load$self->{number}-$n-$_"} 1 .. max(1, $self->{sessions} / $self->{clients});
    my %report = (sessions => {}, failed => [], latencies => [], reconnects => 0);
    my ($connection, $turn) = (undef, 0);
    while ($going) {
        my $id = $ids[ $turn++ % @ids ];
        my $s = $report{sessions}{$id} //= { acked => 0, unanswered => 0 };
        $self->one_ping(\$connection, $id, $s, \%report);
        sleep $self->{pause};
    }
    open my $out, '>', "$file.part" or die $!;
    print $out encode_json(\%report);
    close $out;
    rename "$file.part", $file;
}

# A kept connection may have been closed by the server meanwhile: like a browser, try once more on a new one.
sub one_ping {
    my ($self, $connection, $id, $s, $report) = @_;
    for my $attempt (1, 2) {
        my $fresh = !$$connection;
        my $start = time;
        $$connection //= Heartbeat::Client->new(port => $self->{port}, host => $self->{host}, timeout => 15);
        if ($$connection) {
            my $asked = time;
            my $r = $$connection->request($self->{method}, $self->{target}, headers => ["Cookie: hb=$id"]);
            my $done = time;
            if ($r && $r->status == 204) {
                $s->{acked}++;
                $s->{asked} = $asked * 1000;
                $s->{answered} = $done * 1000;
                push @{ $report->{latencies} }, [ $start, $done - $start ];
                $$connection = undef if ($r->header('connection') // '') =~ /close/i;
                return;
            }
            $s->{unanswered}++;
            $$connection->close;
            $$connection = undef;
            if ($fresh) { push @{ $report->{failed} }, { at => $done, id => $id, status => $r ? $r->status : 0 } }
            else { $report->{reconnects}++ }
        }
        else { push @{ $report->{failed} }, { at => time, id => $id, status => "connect: $!" } }
    }
}

# Stops the clients and returns the joint report: sessions, failed, latencies [start, seconds], reconnects, acked.
sub finish {
    my ($self) = @_;
    $_->signal('TERM') for @{ $self->{processes} };
    $_->stop('TERM', 20) for @{ $self->{processes} };
    my %all = (sessions => {}, failed => [], latencies => [], reconnects => 0);
    for my $file (@{ $self->{files} }) {
        open my $in, '<', $file or die "a load client left no report: $file\n";
        my $one = decode_json(do { local $/; <$in> });
        $all{sessions} = { %{ $all{sessions} }, %{ $one->{sessions} } };
        push @{ $all{$_} }, @{ $one->{$_} } for qw(failed latencies);
        $all{reconnects} += $one->{reconnects};
    }
    $all{acked} = sum0 map { $_->{acked} } values %{ $all{sessions} };
    return \%all;
}

# The latency under which this share of the pings between two moments was answered.
sub percentile {
    my ($report, $share, $from, $to) = @_;
    my @l = sort { $a <=> $b } map { $_->[1] } grep { $_->[0] >= ($from // 0) && $_->[0] <= ($to // 9e99) } @{ $report->{latencies} };
    return @l ? $l[ min($#l, int(@l * $share)) ] : undef;
}

1;
