# The manual's examples: configurations are accepted, command lines run and say what is shown; and there is one of each
# setting, endpoint and event.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Scripts ();
use Heartbeat::Test;
use Heartbeat::Token;
use List::Util qw(max);
use Test::More;

my $root = "$FindBin::Bin/../..";
my $folder = workplace();
my $nginx = Heartbeat::Server::kind() eq 'nginx';
sub slurp { return Heartbeat::Server::slurp($_[0]) }

# The blocks of all pages: {page, name, language, text}.
my @blocks;
for my $page ("$root/README.md", sort glob "$root/docs/*.md") {
    my ($name, $text) = ($page =~ m{([^/]+)$}, slurp($page));
    while ($text =~ /^```(\w*)\n(.*?)^```$/msg) {
        my $line = 1 + (substr($text, 0, $-[0]) =~ tr/\n//);
        push @blocks, { page => $name, name => "$name:$line", language => $1, text => $2 };
    }
}
cmp_ok(scalar @blocks, '>', 40, 'the manual has examples');

# --- a server and a Redis as the command lines expect them ---

my $SECRET = 'a secret of this test, 32 bytes or more';
my $key = Heartbeat::Token::key_file($folder, 'token.key', $SECRET);
Heartbeat::Token::key_file($folder, 'redis.password', 'open');
my $passwords = Heartbeat::Token::key_file($folder, 'passwords', 'auditor:' . `openssl passwd -apr1 -salt abcdefgh secret`);
my $modules = '/usr/lib/apache2/modules';
my @basic = map {"${_}_module $modules/mod_$_.so"} qw(authn_core authn_file authz_user authz_host auth_basic setenvif);
my $redis = redis();
my $server = server(
    main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '100ms' ], [ heartbeat_spool => "$folder/spool" ],
        [ heartbeat_timeout => '2s' ], [ heartbeat_interval => '1s' ], [ heartbeat_grace => '1s' ] ],
    $nginx ? () : (extra_modules_before => \@basic),
    vhosts => [ {
        name => 'one.example', settings => [ [ heartbeat_site => 'SITE' ], [ heartbeat_key_file => $key ], [ heartbeat_user => 'jwt', 'body:user' ], [ heartbeat_keepalive_timeout => '75s' ] ],
        locations => {
            '/hb/client.js' => { endpoint => 'script', settings => [ [ heartbeat_idle => '20m' ], [ heartbeat_interval => '30s' ] ] },
            both_endpoints(), '/hb/beat' => { endpoint => 'beat' }, '/hb/online' => { endpoint => 'online' },
            '/hb/view' => { endpoint => 'view' }, '/hb/beacon' => { endpoint => 'beacon' },
            '/hb/audit' => {
                endpoint => 'audit',
                native_nginx => "            auth_basic audit;\n            auth_basic_user_file $passwords;\n",
                native_apache => "        AuthType Basic\n        AuthName audit\n        AuthUserFile $passwords\n        Require valid-user\n",
            },
        },
    } ],
)->start;
my $started = time;

# --- configurations ---

my ($of_nginx, $of_apache) = ('', '');
for my $block (grep { $_->{language} =~ /^(?:nginx|apache)$/ } @blocks) {
    my $text = $block->{text} =~ s{/etc/heartbeat/|/var/spool/}{$folder/}gr =~ s{/var/lib/heartbeat\b}{$folder/spool}gr =~ s/^load_module .*\n|^LoadModule .*\n//mgr;
    ($block->{language} eq 'nginx' ? $of_nginx : $of_apache) .= $text =~ s/\s#.*//mgr;
    next if $block->{language} ne ($nginx ? 'nginx' : 'apache');
    my $whole = $text =~ /^server \{/m;
    my $tested = server(
        main => $text =~ /heartbeat_?redis /i ? [] : [ [ heartbeat_redis => 'redis://127.0.0.1:1' ] ],
        $nginx && $whole ? (native_main_nginx => $text) : (),
        $nginx ? () : (native_main_apache => $text, extra_modules_before => \@basic),
        vhosts => $nginx && $whole ? [] : [ { name => 'one.example', native_nginx => $text, locations => {} } ],
    );
    my ($code, $said) = $tested->configtest;
    is($code, 0, "$block->{name}: accepted") or diag $said;
}

for my $setting (slurp("$root/shared/settings/table.h") =~ /^    \{"(heartbeat_\w+)", k/mg) {
    my $spelled = join '', map {ucfirst} split /_/, $setting;
    like($of_nginx, qr/(?:^|[\s{])$setting\s/m, "$setting has an example");
    like($of_apache, qr/^\s*$spelled\s/m, "$spelled has an example");
}
my @endpoints = qw(ping page beat beacon script online audit view);
for my $endpoint (@endpoints) {
    like($of_nginx, qr/(?:^|[\s{])heartbeat $endpoint;/m, "heartbeat $endpoint has an example");
    like($of_apache, qr/^\s*SetHandler heartbeat-$endpoint$/m, "heartbeat-$endpoint has an example");
}

# --- command lines ---

sleep max(0, $started + 8.3 - time);    # before, a server does not look who fell silent

# A page view of which a batch has come.
my $view = 'k3bQ1yq7S0u5nJm0c2XvEA';
my $beacons = Heartbeat::Scripts->new(redis => $redis);
$beacons->merge({ site => 'SITE' }, Heartbeat::Scripts::delivered($view), Heartbeat::Scripts::batch($view, 0, event => 'load', payload => '[]'));
$redis->call('XGROUP', 'CREATE', 'hb:{SITE}:beacons', 'warehouse', '0');

# What a line writes, and how it ended; the names of the manual are those of our server and Redis.
sub run {
    my ($line, $failing) = @_;
    my ($port, $redis_port) = ($server->port, $redis->port);
    $line =~ s{https?://(?:localhost:8080|(?:one|www)\.example)\b}{http://127.0.0.1:$port}g;
    $line =~ s/-u auditor(?!:)/-u auditor:secret/g;
    $line =~ s/\{www\.example\.com\}/{SITE}/;
    $line =~ s/(XACK .*) ID$/$1 1-1/m;
    my ($id) = keys %{ $redis->all_seen('SITE') };
    $line =~ s/session:ID\b/session:$id/ if $id;
    $line =~ s/\bVID\b/$view/;
    my $fail = $failing ? '' : '--fail-with-body';
    my $token = Heartbeat::Token::mint($SECRET, sid => 'of-a-token', sub => 'Zoe');
    my $of_view = Heartbeat::Token::mint($SECRET, vid => $view);
    my $script = "cd $folder; TOKEN=$token; VIEW=$of_view\ncurl() { command curl -s --max-time 5 $fail \"\$@\"; }\n"
        . "redis-cli() { command redis-cli -e -p $redis_port \"\$@\"; }\n$line\n";
    Heartbeat::Server::write_file("$folder/line.sh", $script);
    my $out = `bash -e $folder/line.sh 2>&1`;
    return ($out =~ s/\r//gr, $? >> 8);
}

# Times differ, and so do ids.
sub shape { my ($text) = @_; return $text =~ s/\b[0-9a-f]{32}\b/ID/gr =~ s/\b\d{13}(?:-\d+)?\b/TIME/gr }

is($server->ping('first', target => '/hb/ping')->status, 204, 'somebody is there');
ok(eventually { keys %{ $redis->all_seen('SITE') } }, 'in Redis, too');

my ($commands, $shown) = ('', '');
for my $block (grep { $_->{language} =~ /^(?:sh)?$/ } @blocks) {
    my $text = $block->{text};
    next if $block->{page} eq 'performance.md' || $text =~ /^(?:make |umask )/m;
    if ($text =~ /^\$ /m) {
        for my $one ($text =~ /^\$ (.*?(?=^\$ )|.*)/msg) {
            my ($line, $expected) = split /\n/, $one, 2;
            next if $line =~ /xmllint/ && !`sh -c 'command -v xmllint'`;
            my $failing = $expected =~ m{^HTTP/1.1 4};
            my ($out, $code) = run($line, $failing);
            is($code, 0, "$block->{name}: $line") or diag $out;
            $commands .= "$line\n";
            $shown .= $expected;
            if ($block->{page} eq 'examples.md') { is(shape($out), shape($expected), 'it says what is shown') }
            elsif ($failing) { is((split /\n/, $out)[$_], (split /\n/, $expected)[$_], 'it says what is shown') for 0, -1 }
        }
    }
    elsif ($text =~ /^ACL /m) {
        my ($out, $code) = run(join '', map { 'redis-cli ' . s/>SECRET/'>SECRET'/r =~ s/(~\S+)/'$1'/r . "\n" } grep {/\S/} split /\n/, $text);
        is($code, 0, "$block->{name}: the line for Redis") or diag $out;
    }
    elsif ($text =~ /^(?:curl|redis-cli|for |python3) ?/m) {
        my ($out, $code) = run($text);
        is($code, 0, "$block->{name}: " . $text =~ s/\n.*//sr) or diag $out;
        $commands .= $text;
    }
}
my %named = (script => 'client.js');
for my $endpoint (@endpoints) { like($commands, qr{/hb/\Q@{[ $named{$endpoint} // $endpoint ]}\E}, "a command line asks for $endpoint") }

my ($events) = slurp("$root/docs/redis-keys.md") =~ /^\| event \|.*?\n\|[-|]+\n(.*?)\n\n/ms;
my @events = $events =~ /^\| `([\w-]+)` \|/mg;
is(scalar @events, 5, 'there are five events');
like($shown, qr/^\Q$_\E$/m, "$_ is shown") for @events;
my %written = map { $_ => 1 } grep {defined} slurp("$root/shared/redis/presence.lua") =~ /'event', '([\w-]+)'|tell_session\(tag, retention, '([\w-]+)'/g;
is_deeply([ sort keys %written ], [ sort @events ], 'and these are all');

subtest 'the rights that the manual gives are enough' => sub {
    my ($rights) = map { $_->{text} =~ /(on >SECRET .*)/ } grep { $_->{page} eq 'operations.md' && $_->{text} =~ /^ACL/ } @blocks;
    my $guarded = redis(acl => { heartbeat => $rights });
    my $allowed = server(
        main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => 'redis://heartbeat:SECRET@127.0.0.1:' . $guarded->port ], [ heartbeat_flush => '100ms' ],
            [ heartbeat_timeout => '2s' ], [ heartbeat_interval => '1s' ], [ heartbeat_grace => '1s' ], [ heartbeat_ids => 'plain' ] ],
        vhosts => [ { name => 'one.test', locations => {
            map { ("/hb/$_" => { endpoint => $_ }) } grep { $_ ne 'beacon' } @endpoints    # which needs a spool
        } } ],
    )->start;
    is($allowed->fetch('POST', '/hb/beat', body => $_, headers => ['Content-Type: application/x-www-form-urlencoded'])->status, 204, $_)
        for 'session=s1&user=Ann&page=/a', 'session=s2', 'session=s2&leave=1', 'session=s2&user=Bob';
    sleep 0.5;
    is($allowed->fetch('POST', '/hb/beat', body => 'session=s1')->status, 204, 'again');
    ok(eventually { $allowed->fetch('GET', '/hb/online')->body =~ /"Ann"/ }, 'a list');
    ok(eventually { $allowed->fetch('GET', '/hb/audit')->body =~ /"Ann"/ }, 'an audit');
    my $merging = Heartbeat::Scripts->new(redis => $guarded);
    $merging->{redis} = Heartbeat::Redis::Client->new(port => $guarded->port);
    $merging->call('AUTH', 'heartbeat', 'SECRET');
    my @some = (Heartbeat::Scripts::delivered($view), map { Heartbeat::Scripts::batch($view, $_, event => $_ ? 'leave' : 'load', payload => 'x') } 0, 0, 2);
    is_deeply($merging->merge({ site => 'one.test' }, @some), [ 1, 3, 1, '' ], 'beacons');
    $guarded->call('ZADD', 'hb:{one.test}:views', 0, $view);
    is_deeply($merging->give_up({ site => 'one.test' }), [ 1, '' ], 'a view that is given up');
    is_deeply($merging->merge({ site => 'one.test' }, Heartbeat::Scripts::batch($view, 1, flags => 'f'), Heartbeat::Scripts::batch($view, 2, flags => 'f')), [ 1, 1, 1, '' ], 'and complete');
    like($allowed->fetch('GET', "/hb/view?view=$view")->body, qr/"payload":"x"/, 'a view');
    my $events = sub { join ' ', map { my %e = @{ $_->[1] }; "$e{event} " . ($e{id} // $e{user} // $e{view}) } @{ $guarded->call('XRANGE', 'hb:{one.test}:events', '-', '+') } };
    ok(eventually(sub { $events->() =~ /user-offline Ann/ && $events->() =~ /offline s2/ }, 11), 'all events') or diag $events->();
    unlike($allowed->error_log, qr/NOPERM|did not|does not|refuse/, 'no complaint');
};

no_bad_log_lines();
done_testing;
