# What the configuration test accepts and refuses, and what it says: file, line, the value, what would be accepted.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Heartbeat::Token;
use Test::More;

# A server with one setting in one place.
sub tested {
    my ($where, @setting) = @_;
    my %main = (heartbeat_zone => ['1m']);
    my @main = $where eq 'main' ? [@setting] : ();
    my $server = server(
        main => [@main],
        vhosts => [ {
            name => 'one.test',
            settings => $where eq 'vhost' ? [ [@setting] ] : [],
            locations => { '/hb/ping' => { endpoint => 'ping', settings => $where eq 'location' ? [ [@setting] ] : [] } },
        } ],
    );
    my ($code, $text) = $server->configtest;
    return ($server, $code, $text);
}

sub accepted {
    my ($where, @setting) = @_;
    my ($server, $code, $text) = tested($where, @setting);
    is($code, 0, "$where: @setting") or diag $text;
}

sub refused {
    my ($where, $setting, @args) = @_;
    my ($server, $code, $text) = tested($where, $setting, @args);
    my ($name, $config) = ($server->spelled($setting), $server->config_path);
    my $value = $args[-1];
    subtest "$where: $name @args" => sub {
        isnt($code, 0, 'is refused');
        my @complaints = (
            $text =~ /\Q$name\E/ ? () : "the directive's name $name",
            $text =~ /"\Q$value\E"/ ? () : "the value \"$value\" in quotes",
            $text =~ /expected/ ? () : 'the word "expected"',
            $text =~ /\Q$config\E:\d+|line \d+ of \Q$config\E/ ? () : 'file and line',
        );
        is("@complaints", '', 'the message has everything') or diag $text;
    };
}

my $apache = Heartbeat::Server::kind() ne 'nginx';

subtest 'good values' => sub {
    accepted(main => heartbeat_zone => '1m');
    accepted(main => heartbeat_zone => '16m');
    accepted(main => heartbeat_zone => '2048k');
    accepted(main => heartbeat_redis => 'redis://127.0.0.1');
    accepted(main => heartbeat_redis => 'redis://:word@127.0.0.1:6380/2');
    accepted(main => heartbeat_redis => 'redis://user:word@localhost:6380');
    accepted(main => heartbeat_redis => 'redis://[::1]:6380/0');
    accepted(main => heartbeat_redis => 'unix:/run/redis.sock');
    accepted(main => heartbeat_redis => 'unix:/run/redis.sock?db=3');
    accepted(vhost => heartbeat_redis => 'redis://127.0.0.1:6381');
    accepted(main => heartbeat_prefix => 'presence');
    accepted(vhost => heartbeat_prefix => 'presence');
    accepted(main => heartbeat_flush => '500ms');
    my $spool = workplace() . '/spool';
    accepted(main => heartbeat_spool => $spool, @$_) for [], ['fsync'], ['max=64m'], [ 'max=1g', 'fsync' ], [ 'fsync', 'max=8m' ];
    accepted($_ => heartbeat_transports => 'image', 'fetch') for qw(vhost location);
    accepted(vhost => heartbeat_transports => 'auto');
    accepted(vhost => heartbeat_retention => '30d');
    accepted(vhost => heartbeat_site => 'shop');
    accepted(location => heartbeat_site => 'shop');
    accepted(vhost => heartbeat_session => 'cookie:PHPSESSID', 'header:X-Session', 'arg:sid');
    accepted(vhost => heartbeat_session => 'jwt', 'body:sid', 'cookie:hb');
    accepted($_ => heartbeat_user => 'jwt', 'header:X-User') for qw(vhost location);
    accepted(location => heartbeat_session => $apache ? 'expr=%{REMOTE_ADDR}' : '$remote_addr');
    accepted(vhost => heartbeat_ids => $_) for qw(hash plain);
    accepted($_ => heartbeat_track => 'on') for qw(vhost location);
    accepted(location => heartbeat_policy => $_) for qw(extend observe never);
    accepted($_ => heartbeat_timeout => '2m') for qw(vhost location);
    accepted($_ => heartbeat_idle => '20m') for qw(vhost location);
    accepted(vhost => heartbeat_keepalive_timeout => '65s');
    accepted($_ => heartbeat_keepalive_pings => '100') for qw(vhost location);
    accepted($_ => heartbeat_trim => 'on') for qw(vhost location);
    accepted($_ => heartbeat_origin => 'https://a.example', 'http://b.example:8080') for qw(vhost location);
    accepted(location => heartbeat_origin => '*');
    accepted($_ => heartbeat_session => 'jwt', 'body:sid', 'cookie:hb') for qw(vhost location);
    accepted($_ => heartbeat_user => 'jwt', 'header:X-User') for qw(vhost location);
    accepted(location => heartbeat_user => $apache ? 'expr=%{REMOTE_USER}' : '$remote_user');
    accepted(vhost => heartbeat_anonymous => 'on');
    accepted($_ => heartbeat_touch => 'PHPREDIS_SESSION:{session}', '24m', 'redis://127.0.0.1:6380/1') for qw(vhost location);
    accepted($_ => heartbeat_interval => '10s') for qw(vhost location);
    accepted(vhost => heartbeat_grace => '0s');
    accepted($_ => heartbeat_rate => '10r/s', 'burst=5') for qw(vhost location);
    accepted(vhost => heartbeat_rate => $_) for qw(off 30r/m);
    accepted(vhost => heartbeat_shards => '16');
    accepted($_ => heartbeat_body => '2m') for qw(vhost location);
};

subtest 'bad values' => sub {
    refused(main => heartbeat_zone => $_) for qw(abc -5m 1 4k 99999999999999999999g);
    refused(main => heartbeat_redis => $_) for 'http://127.0.0.1', 'redis://', 'redis://h:99999', 'redis://h:0', 'redis://h/x', 'unix:', 'here';
    refused(vhost => heartbeat_prefix => 'a b');
    refused(main => heartbeat_flush => $_) for qw(soon -1s 0);
    refused(main => heartbeat_spool => workplace() . '/spool', $_) for qw(max=1m max=much sync);
    refused(vhost => heartbeat_transports => $_) for qw(pigeon fetchlater);
    refused(vhost => heartbeat_transports => 'fetch', $_) for qw(auto fetch);
    refused(vhost => heartbeat_retention => $_) for qw(long -1d);
    refused(vhost => heartbeat_session => $_) for qw(cookie: something body: jwt:x);
    refused(vhost => heartbeat_user => $_) for qw(something header:);
    refused(vhost => heartbeat_session => 'cookie:good', 'arg:');
    refused(vhost => heartbeat_ids => 'maybe');
    refused(location => heartbeat_policy => 'sometimes');
    refused(vhost => heartbeat_timeout => 'late');
    refused(vhost => heartbeat_idle => '0s');
    refused(vhost => heartbeat_keepalive_timeout => 'x');
    refused(vhost => heartbeat_keepalive_pings => $_) for qw(-1 many 99999999999999999999);
    refused(vhost => heartbeat_user => $_) for qw(name body:);
    refused(vhost => heartbeat_anonymous => 'perhaps');
    refused(vhost => heartbeat_touch => 'key:{session}', 'long');
    refused(vhost => heartbeat_interval => $_) for qw(0 never 2d);
    refused(vhost => heartbeat_grace => $_) for qw(-1s 2h);
    refused(vhost => heartbeat_rate => $_) for qw(10 10r 0r/s 1001r/s r/s);
    refused(vhost => heartbeat_rate => '10r/s', 'burst=many');
    refused(vhost => heartbeat_shards => $_) for qw(0 1025 some);
    refused(vhost => heartbeat_body => $_) for qw(3m 10 big);
    refused(vhost => heartbeat_cookie => $_) for 'na=me', 'na;me';
    refused(vhost => heartbeat_cookie => 'hb', 'SameSite=None');
    refused(vhost => heartbeat_origin => $_) for 'a.example', 'https://a.example/path', 'https://';
};

subtest 'flags are on or off' => sub {
    for my $setting (qw(heartbeat_track heartbeat_trim)) {
        my ($server, $code, $text) = tested(vhost => $setting, 'maybe');
        isnt($code, 0, "$setting maybe is refused");
        my $name = $server->spelled($setting);
        like($text, qr/\Q$name\E/i, 'and named');
    }
};

subtest 'a kind of Redis that does not exist yet' => sub {
    for my $url ('rediss://127.0.0.1', 'sentinel://127.0.0.1:26379/main', 'cluster://127.0.0.1:7000') {
        my ($server, $code, $text) = tested(main => heartbeat_redis => $url);
        isnt($code, 0, "$url is refused");
        like($text, qr/not supported/, 'and the message says so');
    }
};

subtest 'a secret is never shown' => sub {
    for my $url ('redis://user:s3cr3t@h:99999', 'rediss://:s3cr3t@h', 'redis://:s3cr3t@h/x') {
        my ($server, $code, $text) = tested(main => heartbeat_redis => $url);
        isnt($code, 0, 'a bad URL is refused');
        unlike($text, qr/s3cr3t/, 'without its password in the message');
    }
};

subtest 'a password file that cannot be read' => sub {
    my ($server, $code, $text) = tested(main => heartbeat_redis_password_file => '/nonexistent/secret');
    isnt($code, 0, 'is refused');
    like($text, qr{/nonexistent/secret}, 'and named');
};

subtest 'beacons without what they need' => sub {
    my $keys = Heartbeat::Token::key_file(workplace(), 'beacons.key', 'a secret of thirty-two bytes or more');
    my %all = (heartbeat_spool => [ heartbeat_spool => workplace() . '/spool' ], heartbeat_key_file => [ heartbeat_key_file => $keys ]);
    for my $missing ('', sort keys %all) {
        my $server = server(
            main => [ map { $all{$_} } grep { $_ ne $missing } 'heartbeat_spool' ],
            vhosts => [ { name => 'one.test', settings => [ map { $all{$_} } grep { $_ ne $missing } 'heartbeat_key_file' ], locations => { '/hb/beacon' => { endpoint => 'beacon' } } } ],
        );
        my ($code, $text) = $server->configtest;
        is($code, 0, 'accepted with all of it') || diag $text if $missing eq '';
        next if $missing eq '';
        isnt($code, 0, "refused without $missing");
        my ($name, $config) = ($server->spelled($missing), $server->config_path);
        like($text, qr/beacon: expected \Q$name\E/, 'names it');
        like($text, qr/\Q$config\E:\d+|line \d+ of \Q$config\E/, 'and where the endpoint stands');
    }
    my $file = workplace() . '/no-folder';
    open my $out, '>', $file or die $!;
    close $out;
    for my $where ($file, "$file/below") {
        my ($server, $code, $text) = tested(main => heartbeat_spool => $where);
        isnt($code, 0, "$where is refused");
        like($text, qr/\Q$where\E/, 'and named');
    }
};

subtest 'the wrong place' => sub {
    my @wrong = (
        [ vhost => heartbeat_zone => '16m' ], [ location => heartbeat_zone => '16m' ],
        [ vhost => heartbeat_spool => '/nowhere' ], [ vhost => heartbeat_flush => '1s' ], [ location => heartbeat_redis => 'redis://127.0.0.1' ],
        [ location => heartbeat_retention => '7d' ], [ location => heartbeat_prefix => 'x' ],
        [ vhost => heartbeat_policy => 'extend' ], [ location => heartbeat_grace => '5s' ],
        [ location => heartbeat_shards => '2' ], [ location => heartbeat_anonymous => 'on' ],
    );
    push @wrong, [ location => heartbeat_keepalive_timeout => '3s' ] if $apache;
    for my $case (@wrong) {
        my ($where, @setting) = @$case;
        my ($server, $code, $text) = tested($where, @setting);
        isnt($code, 0, "$where: @setting is refused") or diag $text;
        my $name = $server->spelled($setting[0]);
        like($text, qr/\Q$name\E/, 'and named');
    }
};

# A marked corner: only nginx has a directive of its own for the endpoint.
subtest 'an endpoint that does not exist' => sub {
    plan skip_all => 'Apache takes any handler name' if $apache;
    refused(location => heartbeat => 'pong');
};

done_testing;
