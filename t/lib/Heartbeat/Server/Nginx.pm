# The driver for nginx: how a setting, a virtual host and a location are written, and which signals it takes.
package Heartbeat::Server::Nginx;
use strict;
use warnings;
our @ISA = ('Heartbeat::Server');

sub name { 'nginx' }
sub module_file { 'ngx_http_heartbeat_module.so' }
sub start_command { my ($self) = @_; return ('nginx', '-p', $self->{dir}, '-c', $self->config_path, '-e', $self->log_path) }
sub test_command { my ($self) = @_; return ('nginx', '-t', '-p', $self->{dir}, '-c', $self->config_path, '-e', 'stderr') }
sub dump_words { return '-T' }
sub reload_signal { 'HUP' }
sub quit_signal { 'QUIT' }
sub bad_lines { qr/\[(?:alert|emerg|crit)\]/ }
sub own_expression { my ($self, $header) = @_; return '$http_' . lc($header =~ tr/-/_/r) }
sub spelled { $_[1] }

# How often workers were started: more of them after a reload than before.
sub reload_count { my ($self) = @_; return scalar(() = $self->error_log =~ /\[notice\][^\n]*start worker process \d/g) }

sub word {
    my ($text) = @_;
    return $text if $text =~ m{^[^\s;{}"'\#\\]+$};
    return '"' . $text =~ s/(["\\])/\\$1/gr . '"';
}

sub settings {
    my ($indent, @settings) = @_;
    return join '', map { my ($name, @args) = @$_; "$indent$name" . join('', map { ' ' . word($_) } @args) . ";\n" } @settings;
}

sub config {
    my ($self) = @_;
    my $dir = $self->{dir};
    my $own = $self->{without_module} ? '' : 'load_module ' . $self->module_copy . ";\n";
    my $load = join '', map({"load_module $_;\n"} @{ $self->{extra_modules_before} // [] }),
        $own, map {"load_module $_;\n"} @{ $self->{extra_modules_after} // [] };
    my $temp = join '', map {"    ${_}_temp_path $dir/tmp/$_;\n"} qw(client_body proxy fastcgi uwsgi scgi);
    my $workers = $self->{workers} // 2;
    # Workers keep no other variable; the library that shifts the clock reads its own again and again.
    my $env = $self->{clock} ? "env FAKETIME;\nenv FAKETIME_DONT_FAKE_MONOTONIC;\n" : '';
    return <<"CONFIG" . join('', map { $self->vhost($_) } @{ $self->{vhosts} }) . "}\n";
$load${env}daemon off;
user root;
worker_processes $workers;
pid $dir/run/nginx.pid;
error_log $dir/error.log info;
events { worker_connections 2048; }
http {
    access_log $dir/access.log;
    default_type text/plain;
    server_names_hash_bucket_size 128;
$temp@{[ settings('    ', @{ $self->{main} }) ]}@{[ $self->{native_main_nginx} // '' ]}
CONFIG
}

sub vhost {
    my ($self, $v) = @_;
    my $tls = $v->{tls}
        ? "        listen 127.0.0.1:$self->{tls_port} ssl http2;\n"
        . "        ssl_certificate $self->{dir}/cert.pem;\n        ssl_certificate_key $self->{dir}/key.pem;\n"
        : '';
    my $name = defined $v->{name} ? "        server_name $v->{name};\n" : '';
    my $locations = $v->{locations} // {};
    return "    server {\n        listen 127.0.0.1:$self->{port};\n$tls$name        root $self->{dir}/htdocs;\n"
        . settings('        ', @{ $v->{settings} // [] })
        . ($v->{native_nginx} // '') . "\n"
        . join('', map { location($_, $locations->{$_}) } sort keys %$locations) . "    }\n";
}

sub location {
    my ($path, $l) = @_;
    my $match = $path =~ m{/$} ? $path : "= $path";
    my $endpoint = $l->{endpoint} ? "            heartbeat $l->{endpoint};\n" : '';
    return "        location $match {\n$endpoint"
        . settings('            ', @{ $l->{settings} // [] }) . ($l->{native_nginx} // '') . "\n        }\n";
}

1;
