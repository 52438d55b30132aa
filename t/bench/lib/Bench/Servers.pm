# The servers that are compared: each answer at /p of a virtual host of its own, so that all are found by equal steps.
package Bench::Servers;
use strict;
use warnings;
use Exporter 'import';
use File::Copy ();
use Heartbeat::Ports;
use Heartbeat::Process;
use IO::Socket::INET;
use Time::HiRes qw(time sleep);
our @EXPORT_OK = qw(nginx nginx_lua apache nginx_presence apache_presence nginx_beacons unprivileged);

my $APACHE_MODULES = '/usr/lib/apache2/modules';
my $number = 0;

# Options of all: dir, redis (URL, none: memory only), zone, core (of the CPU; none: any), callgrind => 1 (which also
# makes it one process).
sub prepare {
    my (%o) = @_;
    my $self = bless { zone => '16m', flush => '1s', before => [], %o }, __PACKAGE__;
    $self->{dir} .= '/server' . ++$number;
    mkdir $_ for $self->{dir}, "$self->{dir}/tmp";
    chmod 0777, $self->{dir}, "$self->{dir}/tmp";
    # Not as root: valgrind loses its control pipes when Apache changes its user.
    $self->{before} = [unprivileged(), qw(valgrind --tool=callgrind), "--callgrind-out-file=$self->{dir}/callgrind.out"] if $o{callgrind};
    $self->{before} = ['taskset', '-c', $o{core}] if defined $o{core};
    return $self;
}

sub unprivileged { return $< == 0 ? qw(setpriv --reuid=www-data --regid=www-data --clear-groups) : () }

sub listen_at { my ($self, @names) = @_; $self->{port}{$_} = Heartbeat::Ports::free() for @names; return $self->{port} }

# A copy: a build that goes on meanwhile must not change what runs.
sub module {
    my ($self, $file) = @_;
    File::Copy::copy("$ENV{BUILD}/$file", "$self->{dir}/$file") or die "$ENV{BUILD}/$file: $!\n";
    return "$self->{dir}/$file";
}

sub start {
    my ($self, @command) = @_;
    $self->{process} = Heartbeat::Process->spawn(
        command => [@{ $self->{before} }, @command], output => "$self->{dir}/output");
    my ($port) = values %{ $self->{port} };
    my $end = time + 60;
    until (IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)) {
        die "no start, see $self->{dir}\n" if time > $end || !$self->{process}->running;
        sleep 0.05;
    }
    sleep 1.2;    # the connection to Redis
    return $self;
}

sub stop { my ($self) = @_; $self->{process}->stop('TERM', 20) }
sub port { my ($self, $name) = @_; return $self->{port}{$name} }
sub pid { $_[0]{process}->pid }

# The processes that answer.
sub workers {
    my ($self) = @_;
    return $self->pid if $self->{callgrind};
    open my $file, '<', "/proc/@{[$self->pid]}/task/@{[$self->pid]}/children" or die $!;
    return split ' ', <$file> // '';
}

sub file { my ($self, $name, $text) = @_; open my $f, '>', "$self->{dir}/$name" or die $!; print $f $text; close $f; return "$self->{dir}/$name" }

sub nginx_config {
    my ($self, $load, $http, %location) = @_;
    my $port = $self->listen_at(sort keys %location);
    my $one = $self->{callgrind} ? 'master_process off;' : '';
    return $self->file('nginx.conf', <<"CONFIG");
$load
daemon off; $one worker_processes 1; worker_rlimit_nofile 9000; pid $self->{dir}/pid; error_log $self->{dir}/error.log warn;
events { worker_connections 8192; }
http {
    access_log off; keepalive_timeout 600s; keepalive_requests 1000000000; keepalive_time 10h;
    @{[map {"${_}_temp_path $self->{dir}/tmp/$_;"} qw(client_body proxy fastcgi uwsgi scgi)]}
    $http
@{[map {"    server { listen 127.0.0.1:$port->{$_}; server_name bench.test; @{[$self->{host}{$_} // '']} location = /p { $location{$_} } }\n"} sort keys %location]}}
CONFIG
}

sub nginx {
    my $self = prepare(@_);
    my $redis = $self->{redis} ? "heartbeat_redis $self->{redis};" : '';
    my $config = $self->nginx_config(
        "load_module @{[$self->module('ngx_http_heartbeat_module.so')]};",
        "$redis heartbeat_zone $self->{zone}; heartbeat_flush $self->{flush}; heartbeat_session cookie:hb;",
        ref => 'return 204;', ping => 'heartbeat ping;', trim => 'heartbeat ping; heartbeat_trim on;',
    );
    return $self->start('nginx', '-e', "$self->{dir}/error.log", '-p', $self->{dir}, '-c', $config);
}

# What presence is made of, each beside what the server does without: `key` is a key file, for the hosts with tokens;
# `files` a folder with the files "page" and "list".
sub nginx_presence {
    my $self = prepare(@_);
    $self->{host} = { map { $_ => "heartbeat_key_file $self->{key};" } qw(token trim_token track_token) };
    my $jwt = 'heartbeat_session jwt; heartbeat_user jwt;';
    my $page = "alias $self->{files}/page;";
    my $config = $self->nginx_config(
        "load_module @{[$self->module('ngx_http_heartbeat_module.so')]};",
        "heartbeat_redis $self->{redis}; heartbeat_zone $self->{zone}; heartbeat_flush $self->{flush};
    heartbeat_session cookie:hb; heartbeat_interval 1h; heartbeat_timeout 2h;",
        ref => 'return 204;', beat => 'heartbeat beat;', trim => 'heartbeat beat; heartbeat_trim on;', token => "heartbeat beat; $jwt",
        trim_token => "heartbeat beat; heartbeat_trim on; $jwt",
        file => $page, track => "$page heartbeat_track on;", track_token => "$page heartbeat_track on; $jwt",
        ping => 'heartbeat ping; heartbeat_site pings;', here => 'heartbeat beat; heartbeat_site list;',
        list => "alias $self->{files}/list; default_type application/json;", online => 'heartbeat online; heartbeat_site list;',
    );
    return $self->start('nginx', '-e', "$self->{dir}/error.log", '-p', $self->{dir}, '-c', $config);
}

# The same bodies in an access log, which nginx writes only if it has read them, so for somebody: here for itself. And in
# the spool, as `spool` says.
sub nginx_beacons {
    my $self = prepare(@_);
    my $redis = $self->{redis} ? "heartbeat_redis $self->{redis};" : '';
    my $silent = Heartbeat::Ports::free();
    my $config = $self->nginx_config(
        "load_module @{[$self->module('ngx_http_heartbeat_module.so')]};",
        "$redis heartbeat_zone $self->{zone}; heartbeat_flush $self->{flush}; heartbeat_spool $self->{dir}/spool max=16g $self->{spool};
    heartbeat_key_file $self->{key}; heartbeat_session cookie:hb;
    log_format bodies escape=none '\$request_body'; upstream silent { server 127.0.0.1:$silent; keepalive 32; }
    server { listen 127.0.0.1:$silent; location / { return 204; } }",
        logged => "access_log $self->{dir}/bodies.log bodies; proxy_pass http://silent; proxy_http_version 1.1; proxy_set_header Connection ''; client_body_buffer_size 16k;",
        ref => 'return 204;', beacon => 'heartbeat beacon;',
    );
    return $self->start('nginx', '-e', "$self->{dir}/error.log", '-p', $self->{dir}, '-c', $config);
}

sub nginx_lua {
    my $self = prepare(@_);
    my ($port) = $self->{redis} =~ /:(\d+)$/;
    my $modules = '/usr/lib/nginx/modules';
    my $config = $self->nginx_config(
        "load_module $modules/ndk_http_module.so; load_module $modules/ngx_http_lua_module.so;",
        'lua_package_path "/usr/share/lua/5.1/?.lua;;";', lua => <<"LUA");
content_by_lua_block {
    local red = require("nginx.redis"):new()
    red:set_timeouts(1000, 1000, 1000)
    local ok, err = red:connect("127.0.0.1", $port)
    if not ok then ngx.log(ngx.ERR, err) return ngx.exit(500) end
    red:zadd("lua:seen", math.floor(ngx.now() * 1000), ngx.var.cookie_hb)
    red:set_keepalive(60000, 100)
    ngx.status = 204
}
LUA
    return $self->start('nginx', '-e', "$self->{dir}/error.log", '-p', $self->{dir}, '-c', $config);
}

# The modules that Debian switches on, and mod_rewrite for the shortest answer.
my @DEBIAN = qw(access_compat alias auth_basic authn_core authn_file authz_core authz_host authz_user autoindex deflate
    dir env filter mime negotiation reqtimeout rewrite setenvif status);

sub apache {
    my $self = prepare(@_);
    return $self->start_apache(
        ref => "RewriteEngine on\n    RewriteRule ^/p\$ - [R=204,L]",
        redirect => 'Redirect 204 /p',
        ping => handler('ping'),
        trim => handler('ping', 'HeartbeatTrim on'),
    );
}

sub handler { my ($endpoint, @more) = @_; return join "\n    ", '<Location "/p">', "SetHandler heartbeat-$endpoint", @more, '</Location>' }

sub apache_presence {
    my $self = prepare(@_);
    my @jwt = ('HeartbeatSession jwt', 'HeartbeatUser jwt');
    my $page = "Alias /p $self->{files}/page";
    my $keys = "HeartbeatKeyFile $self->{key}";
    $self->{main} = "HeartbeatInterval 1h\nHeartbeatTimeout 2h";
    return $self->start_apache(
        ref => "RewriteEngine on\n    RewriteRule ^/p\$ - [R=204,L]",
        beat => handler('beat'),
        trim => handler('beat', 'HeartbeatTrim on'),
        token => join("\n    ", $keys, handler('beat', @jwt)),
        trim_token => join("\n    ", $keys, handler('beat', 'HeartbeatTrim on', @jwt)),
        file => $page,
        track => join("\n    ", $page, 'HeartbeatTrack on'),
        track_token => join("\n    ", $keys, $page, 'HeartbeatTrack on', @jwt),
        ping => handler('ping', 'HeartbeatSite pings'),
        here => handler('beat', 'HeartbeatSite list'),
        list => "Alias /p $self->{files}/list\n    <Location \"/p\">\n    ForceType application/json\n    </Location>",
        online => handler('online', 'HeartbeatSite list'),
    );
}

sub start_apache {
    my ($self, %host) = @_;
    $self->{main} //= '';
    my $files = $self->{files} ? "<Directory $self->{files}>\n    Require all granted\n</Directory>" : '';
    my $port = $self->listen_at(sort keys %host);
    my $redis = $self->{redis} ? "HeartbeatRedis $self->{redis}" : '';
    my $config = $self->file('apache.conf', <<"CONFIG");
ServerRoot $self->{dir}
LoadModule mpm_event_module $APACHE_MODULES/mod_mpm_event.so
@{[map {"LoadModule ${_}_module $APACHE_MODULES/mod_$_.so\n"} @DEBIAN]}
LoadModule http_heartbeat_module @{[$self->module('mod_http_heartbeat.so')]}
User www-data
Group www-data
DefaultRuntimeDir $self->{dir}/tmp
PidFile $self->{dir}/tmp/pid
ErrorLog $self->{dir}/error.log
TypesConfig /etc/mime.types
ServerName bench.test
StartServers 1
ServerLimit 1
ThreadsPerChild 64
MinSpareThreads 64
MaxSpareThreads 64
MaxRequestWorkers 64
KeepAlive on
KeepAliveTimeout 600
MaxKeepAliveRequests 0
HeartbeatZone $self->{zone}
HeartbeatFlush $self->{flush}
HeartbeatSession cookie:hb
$redis
$self->{main}
<Directory />
    AllowOverride None
    Require all denied
</Directory>
$files
@{[map {"Listen 127.0.0.1:$port->{$_}\n<VirtualHost 127.0.0.1:$port->{$_}>\n    ServerName bench.test\n    $host{$_}\n</VirtualHost>\n"} sort keys %host]}
CONFIG
    return $self->start('apache2', ($self->{callgrind} ? '-X' : '-DFOREGROUND'), '-f', $config);
}

1;
