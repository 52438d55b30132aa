# The driver for Apache httpd (event or prefork): how a setting, a virtual host and a location are written, and which signals it takes.
package Heartbeat::Server::Apache;
use strict;
use warnings;
our @ISA = ('Heartbeat::Server');

my $MODULES = '/usr/lib/apache2/modules';

sub name { 'apache' }
sub module_file { 'mod_http_heartbeat.so' }
sub start_command { my ($self) = @_; return ('apache2', '-DFOREGROUND', '-f', $self->config_path) }
sub test_command { my ($self) = @_; return ('apache2', '-t', '-f', $self->config_path) }
sub dump_words { return ('-C', 'LoadModule info_module /usr/lib/apache2/modules/mod_info.so', '-DDUMP_CONFIG') }
sub reload_signal { 'USR1' }
sub quit_signal { 'WINCH' }
sub bad_lines { qr/\[[\w-]*:(?:alert|emerg|crit)\]/ }
sub own_expression { my ($self, $header) = @_; return "expr=%{req:$header}" }
sub spelled { my ($self, $name) = @_; return join '', map {ucfirst} split /_/, $name }

# "resuming normal operations" appears once per start and once per graceful restart.
sub reload_count { my ($self) = @_; return scalar(() = $self->error_log =~ /resuming normal operations/g) }

sub ready { my ($self) = @_; return $self->reload_count > ($self->{starts} // 0) && $self->SUPER::ready }
sub start { my ($self) = @_; $self->{starts} = $self->reload_count; return $self->SUPER::start }

sub word {
    my ($text) = @_;
    return $text if $text =~ m{^[^\s"'\\<>\#]+$};
    return '"' . $text =~ s/(["\\])/\\$1/gr . '"';
}

sub settings {
    my ($self, $indent, @settings) = @_;
    return join '',
        map { my ($name, @args) = @$_; $indent . $self->spelled($name) . join('', map { ' ' . word($_) } @args) . "\n" } @settings;
}

sub load {
    my ($self) = @_;
    my $mpm = $self->is_prefork ? 'mpm_prefork' : 'mpm_event';
    my @names = ($mpm, qw(authz_core alias dir mime rewrite headers));
    push @names, 'ssl' if $self->{tls_port};
    push @names, 'http2' if $self->{tls_port} && !$self->is_prefork;
    my $static = `apache2 -l`;
    my @lines = map {"LoadModule ${_}_module $MODULES/mod_$_.so\n"} grep { $static !~ /mod_$_\.c/ } @names;
    push @lines, map {"LoadModule $_\n"} @{ $self->{extra_modules_before} // [] };
    push @lines, 'LoadModule http_heartbeat_module ' . $self->module_copy . "\n" if !$self->{without_module};
    push @lines, map {"LoadModule $_\n"} @{ $self->{extra_modules_after} // [] };
    return join '', @lines;
}

sub processes {
    my ($self) = @_;
    return "StartServers 8\nMinSpareServers 8\nMaxSpareServers 40\nServerLimit 80\nMaxRequestWorkers 80\n" if $self->is_prefork;
    return "StartServers 2\nServerLimit 6\nThreadsPerChild 25\nMaxRequestWorkers 150\nMinSpareThreads 50\nMaxSpareThreads 150\n";
}

sub config {
    my ($self) = @_;
    my $dir = $self->{dir};
    my $tls = $self->{tls_port} ? "Listen 127.0.0.1:$self->{tls_port} https\nSSLSessionCache none\n" : '';
    my $protocols = $self->{tls_port} && !$self->is_prefork ? "Protocols h2 http/1.1\nH2MinWorkers 4\n" : '';
    return <<"CONFIG" . join '', map { $self->vhost($_) } @{ $self->{vhosts} };
ServerRoot $dir
@{[ $self->load ]}User www-data
Group www-data
DefaultRuntimeDir $dir/run
PidFile $dir/run/apache.pid
Mutex file:$dir/run default
ServerName main.test
Listen 127.0.0.1:$self->{port}
$tls$protocols@{[ $self->processes ]}ErrorLog $dir/error.log
LogLevel info
TypesConfig /etc/mime.types
DocumentRoot $dir/htdocs
GracefulShutdownTimeout 10
<Directory />
    Require all granted
    AllowOverride None
</Directory>
@{[ $self->settings('', @{ $self->{main} }) ]}@{[ $self->{native_main_apache} // '' ]}
CONFIG
}

sub vhost {
    my ($self, $v) = @_;
    my $text = $self->vhost_on($v, $self->{port}, '');
    $text .= $self->vhost_on($v, $self->{tls_port},
        "    SSLEngine on\n    SSLCertificateFile $self->{dir}/cert.pem\n    SSLCertificateKeyFile $self->{dir}/key.pem\n") if $v->{tls};
    return $text;
}

sub vhost_on {
    my ($self, $v, $port, $tls) = @_;
    my $locations = $v->{locations} // {};
    my $name = defined $v->{name} ? "    ServerName $v->{name}\n" : '';
    return "<VirtualHost 127.0.0.1:$port>\n$name$tls    DocumentRoot $self->{dir}/htdocs\n"
        . $self->settings('    ', @{ $v->{settings} // [] })
        . ($v->{native_apache} // '') . "\n"
        . join('', map { $self->location($_, $locations->{$_}) } sort keys %$locations) . "</VirtualHost>\n";
}

sub location {
    my ($self, $path, $l) = @_;
    my $endpoint = $l->{endpoint} ? "        SetHandler heartbeat-$l->{endpoint}\n" : '';
    return "    <Location \"$path\">\n$endpoint"
        . $self->settings('        ', @{ $l->{settings} // [] }) . ($l->{native_apache} // '') . "\n    </Location>\n";
}

1;
