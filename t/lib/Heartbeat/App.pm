# Applications that keep their own sessions in Redis: PHP with php-redis, Express with connect-redis.
package Heartbeat::App;
use strict;
use warnings;
use Cwd ();
use FindBin;
use Heartbeat::Client;
use Heartbeat::Ports;
use Heartbeat::Process;
use Time::HiRes qw(time sleep);

# dir, redis => a Heartbeat::Redis, database => 0, ttl => seconds that a session lives without a request.
sub php {
    my ($class, %o) = @_;
    my $database = $o{database} // 0;
    my $self = bless { %o, name => 'php', port => Heartbeat::Ports::free() }, $class;
    my %ini = (
        'session.save_handler' => 'redis',
        'session.save_path' => "tcp://127.0.0.1:@{[ $o{redis}->port ]}?database=$database",
        'session.gc_maxlifetime' => $o{ttl},
    );
    return $self->start('php', map({ ('-d', qq($_="$ini{$_}")) } sort keys %ini),
        '-S', "127.0.0.1:$self->{port}", source('php/app.php'));
}

sub express {
    my ($class, %o) = @_;
    my $self = bless { %o, name => 'express', port => Heartbeat::Ports::free() }, $class;
    $self->{env} = {
        PORT => $self->{port}, REDIS => $o{redis}->url('/' . ($o{database} // 0)), TTL => $o{ttl},
        NODE_PATH => Cwd::abs_path("$FindBin::Bin/../../build/apps/express/node_modules"),
    };
    return $self->start('node', source('express/app.js'));
}

sub source { return Cwd::abs_path("$FindBin::Bin/../apps/$_[0]") }

sub start {
    my ($self, @command) = @_;
    my $output = "$self->{dir}/$self->{name}-$self->{port}.out";
    $self->{process} = Heartbeat::Process->spawn(
        name => $self->{name}, command => \@command, env => $self->{env}, output => $output);
    my $end = time + 20;
    until (my $client = Heartbeat::Client->new(port => $self->{port})) {
        die "$self->{name} does not start: see $output\n" if time > $end || !$self->{process}->running;
        sleep 0.05;
    }
    return $self;
}

# One request; with the session's cookie, if there is one. Returns the body.
sub get {
    my ($self, $target, $session) = @_;
    my $client = Heartbeat::Client->new(port => $self->{port}) or die "$self->{name} is gone\n";
    my $r = $client->request('GET', $target, headers => [ 'Connection: close', $session ? "Cookie: $session->{cookie}" : () ])
        or die "no answer of $self->{name}\n";
    $self->{set_cookie} = $r->header('set-cookie');
    return $r->body;
}

# A new session of this visitor: {cookie => what a browser sends, id, key => in Redis}.
sub login {
    my ($self, $visitor) = @_;
    $self->get("/login?name=$visitor") eq $visitor or die "no login at $self->{name}\n";
    my ($cookie) = $self->{set_cookie} =~ /^([^;]+)/;
    return { cookie => $cookie, id => $1, key => "PHPREDIS_SESSION:$1" } if $cookie =~ /^PHPSESSID=(.+)/;
    return { cookie => $cookie, id => $1, key => "sess:$1" } if $cookie =~ /^connect\.sid=s%3A([^.]+)\./;
    die "not a cookie of $self->{name}: $cookie\n";
}

# Whom the application takes this visitor for; "nobody" without a session.
sub who { my ($self, $session) = @_; return $self->get('/who', $session) }
sub logout { my ($self, $session) = @_; return $self->get('/logout', $session) }

1;
