# Tests in a real browser: a server with pages, and a script of t/browser in Node that drives Chromium. What the script
# checks becomes a test of this file, and it may ask for things that are done here.
package Heartbeat::Browser;
use strict;
use warnings;
use Cwd ();
use Exporter 'import';
use File::Path qw(make_path);
use FindBin;
use Heartbeat::Test;
use IPC::Open2;
use JSON::PP;
use Test::More;

our @EXPORT = qw(site requests in_browser page);

my $nginx = Heartbeat::Server::kind() eq 'nginx';
my $json = JSON::PP->new->ascii->canonical->allow_nonref;

# A page with the tag; what the script says is kept in window.events.
sub page {
    my ($attributes, $body) = @_;
    return qq(<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>A page</title>\n)
        . qq(<script src="/hb/client.js" $attributes></script>\n<script src="/record.js"></script>\n@{[ $body // '<p>Hello.' ]}\n);
}

my $RECORD = <<'END';
window.events = [];
for (const name of ["ping", "wait", "timeout", "expired", "resume", "online", "dropped", "refused"]) {
  heartbeat.on(name, (detail) => window.events.push({ name, detail, at: Date.now() }));
}
END

# A server whose pages are {path => HTML}, with a script, pings and a list; further options as for server(). With tls => 1,
# `pages` and `others`, more virtual hosts, may be functions of the server: it knows its ports.
sub site {
    my (%o) = @_;
    my ($pages, $others, $tls) = delete @o{qw(pages others tls)};
    my $main = $nginx
        ? "    types { text/html html; text/javascript js; }\n    log_format seen '\$remote_port \$msec \$status \$cookie_hb \$request';\n"
        . "    access_log seen.log seen;\n"
        : "AddType text/javascript .js\nLogFormat \"%{remote}p %{msec}t %>s %{hb}C %r\" seen\nCustomLog seen.log seen\n";
    my $server = server(
        main => [ [ heartbeat_zone => '1m' ], @{ delete $o{main} // [] } ],
        native_main_nginx => $main, native_main_apache => $main,
        vhosts => [ {
            name => '127.0.0.1', tls => $tls,
            settings => [ [ heartbeat_ids => 'plain' ], [ heartbeat_interval => '1s' ], [ heartbeat_keepalive_timeout => '5s' ], @{ delete $o{settings} // [] } ],
            locations => {
                '/hb/client.js' => { endpoint => 'script' }, '/hb/ping' => { endpoint => 'ping' },
                '/hb/online' => { endpoint => 'online', settings => [ [ heartbeat_policy => 'never' ] ] },
                '/hb/beat' => { endpoint => 'beat' },
                %{ delete $o{locations} // {} },
            },
        } ],
        %o,
    );
    push @{ $server->{vhosts} }, $others->($server) if $others;
    my %pages = (%{ ref $pages eq 'CODE' ? $pages->($server) : $pages }, '/record.js' => $RECORD);
    for my $path (keys %pages) {
        my $file = "$server->{dir}/htdocs$path";
        make_path($file =~ s{/[^/]*$}{}r);
        Heartbeat::Server::write_file($file, $pages{$path});
    }
    Heartbeat::Server::write_file("$server->{dir}/htdocs/favicon.ico", '');
    return $server->start;
}

# What the server was asked so far, in order: {port of the client, time in ms, status, who, method, path, query}.
sub requests {
    my ($server) = @_;
    my @all;
    for (split /\n/, Heartbeat::Server::slurp("$server->{dir}/seen.log")) {
        my ($port, $time, $status, $who, $method, $path, $query) = m{^(\d+) ([\d.]+) (\d+) (\S+) (\w+) ([^ ?]+)\??(\S*) } or next;
        push @all, { port => 0 + $port, time => $time * ($nginx ? 1000 : 1), status => 0 + $status, who => $who, method => $method, path => $path, query => $query };
    }
    return [ sort { $a->{time} <=> $b->{time} } @all ];
}

# Runs a script against a server of ours, or undef. `given` is what it is told, `calls` are the functions that it may ask for.
sub in_browser {
    my ($script, $server, %o) = @_;
    my %calls = (requests => sub { requests($server) }, %{ $o{calls} // {} });
    my $certificate = $server && "$server->{dir}/cert.pem";
    local $ENV{HEARTBEAT_BROWSER} = $json->encode({
        $server ? (base => 'http://127.0.0.1:' . $server->port) : (), $certificate && -e $certificate ? (certificate => $certificate) : (), profile => workplace(), %{ $o{given} // {} },
    });
    my $pid = open2(my $out, my $in, 'node', "$FindBin::Bin/$script");
    my $ended;
    while (my $line = <$out>) {
        my $said = eval { $json->decode($line) };
        if (!$said) { diag($line) }
        elsif ($said->{call}) { print $in $json->encode($calls{ $said->{call} }->(@{ $said->{words} })) . "\n"; $in->flush }
        elsif ($said->{ended}) { $ended = 1 }
        else { ok($said->{ok}, $said->{name}) or diag($said->{diag} // '') }
    }
    close $in;
    waitpid $pid, 0;
    ok($ended && !$?, "$script came to its end");
    return;
}

1;
