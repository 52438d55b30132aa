# A real redis-server for one test, and a tiny RESP client to look into it.
package Heartbeat::Redis;
use strict;
use warnings;
use Heartbeat::Process;
use Heartbeat::Ports;
use Time::HiRes qw(time sleep);

# dir (required), persist => 1, password => WORD, acl => ['on >secret ~* +@all' by user name].
sub new {
    my ($class, %o) = @_;
    my $self = bless { port => Heartbeat::Ports::free(), %o }, $class;
    $self->{dir} .= "/redis-$self->{port}";
    $self->{unix} = "$self->{dir}/redis.sock";
    mkdir $self->{dir};
    chmod 0777, $self->{dir};
    return $self->start;
}

sub port { $_[0]{port} }
sub pid { $_[0]{process}->pid }
sub url { my ($self, $rest) = @_; return "redis://127.0.0.1:$self->{port}" . ($rest // '') }
sub unix_url { my ($self, $rest) = @_; return "unix:$self->{unix}" . ($rest // '') }

sub start {
    my ($self) = @_;
    my @words = (
        port => $self->{port}, bind => '127.0.0.1', dir => $self->{dir}, unixsocket => $self->{unix},
        unixsocketperm => 777, save => '', daemonize => 'no', logfile => "$self->{dir}/redis.log",
        # Every answered write is on disk, or a kill would lose what Redis had promised.
        appendonly => $self->{persist} ? 'yes' : 'no', appendfsync => 'always',
    );
    push @words, requirepass => $self->{password} if $self->{password};
    my @lines = map {"$words[2*$_] " . ($words[ 2 * $_ + 1 ] eq '' ? '""' : $words[ 2 * $_ + 1 ])} 0 .. $#words / 2;
    push @lines, map {"user $_ $self->{acl}{$_}"} sort keys %{ $self->{acl} // {} };
    open my $file, '>', "$self->{dir}/redis.conf" or die $!;
    print $file map {"$_\n"} @lines, @{ $self->{extra} // [] };
    close $file;
    $self->{process} = Heartbeat::Process->spawn(
        name => 'redis', command => [ 'redis-server', "$self->{dir}/redis.conf" ], output => "$self->{dir}/redis.out");
    my $end = time + 10;
    until (eval { $self->client; 1 }) {
        die "redis-server does not start: see $self->{dir}\n" if time > $end || !$self->{process}->running;
        sleep 0.02;
    }
    return $self;
}

sub stop { my ($self) = @_; delete $self->{client}; $self->{process}->stop('TERM') }
sub kill { my ($self) = @_; delete $self->{client}; $self->{process}->stop('KILL') }
sub freeze { $_[0]{process}->signal('STOP') }
sub thaw { $_[0]{process}->signal('CONT') }

sub forget {
    my ($self) = @_;
    unlink glob("$self->{dir}/*.rdb"), glob("$self->{dir}/appendonlydir/*");
}

sub client {
    my ($self) = @_;
    return $self->{client} if $self->{client};
    my $client = Heartbeat::Redis::Client->new(port => $self->{port});
    $client->call('AUTH', $self->{password}) if $self->{password};
    $client->call('PING');
    return $self->{client} = $client;
}

sub call { my ($self, @words) = @_; return $self->client->call(@words) }

# What the module wrote, in the words of the contract.
sub seen {
    my ($self, $site, $id, $prefix) = @_;
    return $self->call('ZSCORE', ($prefix // 'hb') . ":{$site}:seen", $id);
}

sub all_seen {
    my ($self, $site, $prefix) = @_;
    return { @{ $self->call('ZRANGE', ($prefix // 'hb') . ":{$site}:seen", 0, -1, 'WITHSCORES') } };
}

sub session {
    my ($self, $site, $id, $prefix) = @_;
    return { @{ $self->call('HGETALL', ($prefix // 'hb') . ":{$site}:session:$id") } };
}

sub beats { my ($self, $site, $id) = @_; return $self->call('HGET', "hb:{$site}:session:$id", 'beats') }

# How often Redis executed a command since it started.
sub command_count {
    my ($self, $command) = @_;
    my $stats = $self->call('INFO', 'commandstats');
    return $stats =~ /cmdstat_\L$command\E:calls=(\d+)/ ? $1 : 0;
}

package Heartbeat::Redis::Client;
use IO::Socket::INET;

sub new {
    my ($class, %o) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $o{port}, Timeout => 5)
        or die "no Redis at port $o{port}: $!\n";
    return bless { socket => $socket, buffer => '' }, $class;
}

sub encode { my @words = @_; return join '', '*' . @words . "\r\n", map { '$' . length($_) . "\r\n$_\r\n" } @words }

sub call {
    my ($self, @words) = @_;
    my $bytes = encode(@words);
    my $at = 0;
    while ($at < length $bytes) {
        $at += syswrite($self->{socket}, $bytes, length($bytes) - $at, $at) // die "Redis went away: $!\n";
    }
    return $self->reply;
}

# Many commands in one go; errors come back as undef.
sub pipeline {
    my ($self, @commands) = @_;
    my @replies;
    while (my @some = splice @commands, 0, 500) {
        syswrite $self->{socket}, join '', map { encode(@$_) } @some;
        push @replies, map { scalar eval { $self->reply } } @some;
    }
    return @replies;
}

sub line {
    my ($self) = @_;
    my $end;
    $self->more while ($end = index $self->{buffer}, "\r\n") < 0;
    return substr substr($self->{buffer}, 0, $end + 2, ''), 0, $end;
}

sub more {
    my ($self) = @_;
    sysread($self->{socket}, $self->{buffer}, 65536, length $self->{buffer}) or die "Redis went away\n";
}

sub reply {
    my ($self) = @_;
    my ($type, $rest) = $self->line =~ /\A(.)(.*)\z/s;
    die "Redis: $rest\n" if $type eq '-';
    return $rest if $type =~ /[+:]/;
    return $rest < 0 ? undef : [ map { $self->reply } 1 .. $rest ] if $type eq '*';
    return undef if $rest < 0;
    $self->more while length $self->{buffer} < $rest + 2;
    my $value = substr $self->{buffer}, 0, $rest;
    substr $self->{buffer}, 0, $rest + 2, '';
    return $value;
}

1;
