# Where the name of a user comes from, and which bytes it may hold.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Heartbeat::Token;
use Test::More;

my $SECRET = 'a secret of this test, 32 bytes or more';
my $FORM = 'Content-Type: application/x-www-form-urlencoded';
my $apache = Heartbeat::Server::kind() ne 'nginx';

my $folder = workplace();
my $key = Heartbeat::Token::key_file($folder, 'key', $SECRET);
my $passwords = Heartbeat::Token::key_file($folder, 'passwords', 'Ann:' . `openssl passwd -apr1 -salt abcdefgh open`);
my $redis = redis();
my $remote = $apache ? 'expr=%{REMOTE_USER}' : '$remote_user';
my @basic = (
    native_nginx => "            auth_basic one;\n            auth_basic_user_file $passwords;\n",
    native_apache => "        AuthType Basic\n        AuthName one\n        AuthUserFile $passwords\n        Require valid-user\n",
);
my $modules = '/usr/lib/apache2/modules';
my $server = server(
    main => [ [ heartbeat_zone => '2m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '200ms' ] ],
    $apache ? (extra_modules_before => [ map {"${_}_module $modules/mod_$_.so"} qw(authn_core authn_file authz_user auth_basic) ]) : (),
    vhosts => [ {
        name => 'one.test',
        settings => [ [ heartbeat_ids => 'plain' ], [ heartbeat_key_file => $key ] ],
        locations => {
            '/beat' => { endpoint => 'beat', settings => [ [ heartbeat_user => 'jwt', 'body:user' ] ] },
            '/unnamed' => { endpoint => 'beat' },
            '/ping' => { endpoint => 'ping' },
            '/header' => { endpoint => 'ping', settings => [ [ heartbeat_user => 'header:X-User' ] ] },
            '/arg' => { endpoint => 'ping', settings => [ [ heartbeat_user => 'arg:u' ] ] },
            '/cookie' => { endpoint => 'page', settings => [ [ heartbeat_user => 'cookie:name' ] ] },
            '/order' => { endpoint => 'beat', settings => [ [ heartbeat_user => 'jwt', 'header:X-User', 'body:name', 'body:user' ] ] },
            '/basic' => { endpoint => 'beat', settings => [ [ heartbeat_user => $remote ] ], @basic },
            '/basic-ping' => { endpoint => 'ping', settings => [ [ heartbeat_user => $remote ] ], @basic },
            '/tracked.txt' => { settings => [ [ heartbeat_track => 'on' ], [ heartbeat_user => 'header:X-User' ] ] },
        },
    }, {
        name => 'keyless.test', settings => [ [ heartbeat_ids => 'plain' ] ],
        locations => { '/any' => { endpoint => 'beat' }, '/told' => { endpoint => 'beat', settings => [ [ heartbeat_user => 'header:X-User' ] ] } },
    } ],
)->start;

my $n = 0;

# The user of a new session after this request: target, body or undef, headers.
sub user_of {
    my ($target, $body, @headers) = @_;
    my $id = 'user' . ++$n;
    my $r = $server->fetch(defined $body ? 'POST' : 'GET', $target, headers => [ $FORM, "Cookie: hb=$id", @headers ], defined $body ? (body => $body) : ());
    like($r->status, qr/^20[04]$/, "$target: answered") or return;
    my $s = eventually { my $s = $redis->session('one.test', $id); %$s && $s };
    return $s ? $s->{user} : 'no session';
}

subtest 'without keys' => sub {
    my $user_at = sub {
        my ($target, @headers) = @_;
        my $id = 'keyless' . ++$n;
        $server->fetch('POST', $target, host => 'keyless.test', body => 'user=Ann', headers => [ $FORM, "Cookie: hb=$id", @headers ]);
        my $s = eventually { my $s = $redis->session('keyless.test', $id); %$s && $s };
        return $s ? $s->{user} : 'no session';
    };
    is($user_at->('/any'), 'Ann', 'whatever a beat says');
    is($user_at->('/told'), undef, 'unless another source is set');
    is($user_at->('/told', 'X-User: Bob'), 'Bob', 'which counts');
};

subtest 'sources' => sub {
    is(user_of('/unnamed', 'user=Boss'), undef, 'not a body that nobody has named, where there are keys');
    is(user_of('/ping'), undef, 'none');
    is(user_of('/header', undef, 'X-User: Ann'), 'Ann', 'a header');
    is(user_of('/arg?u=J%C3%B6rg+%26'), "J\xc3\xb6rg+&", 'an argument');
    is(user_of('/cookie', undef, 'Cookie: name=Bob'), 'Bob', 'a cookie');
    is(user_of('/beat', 'user=J%C3%B6rg+%26'), "J\xc3\xb6rg &", 'the body');
    is(user_of('/tracked.txt', undef, 'X-User: Ann'), 'Ann', 'of an ordinary request');
    is(user_of('/order', 'name=third&user=last', 'X-User: second'), 'second', 'the first that hits');
    is(user_of('/order', 'name=third&user=last'), 'third', 'else the next');
    is(user_of('/order', 'user=last'), 'last', 'last of all the body\'s own');
    is(user_of('/ping?user=no&u=no', undef, 'X-User: no'), undef, 'only what is configured');
};

subtest 'of a token' => sub {
    my $ask = sub {
        my ($claims, $target, $body, @headers) = @_;
        my $id = 'token' . ++$n;
        my $token = Heartbeat::Token::mint($SECRET, sid => $id, @$claims);
        is($server->fetch('POST', $target, body => $body, headers => [ $FORM, "Authorization: Bearer $token", @headers ])->status, 204, 'a beat');
        return (eventually { my $s = $redis->session('one.test', $id); %$s && $s } || {})->{user};
    };
    is($ask->([ sub => 'Ann' ], '/unnamed', 'user=Eve'), 'Ann', 'who is named there is nobody else');
    is($ask->([], '/unnamed', 'user=Eve'), undef, 'and who is not, is not named by a body');
    is($ask->([], '/order', 'name=Ann&user=Eve'), 'Ann', 'unless the settings say so');
    is($ask->([ sub => "J\x{f6}rg" ], '/beat', ''), "J\xc3\xb6rg", 'UTF-8');
    is($ask->([ sub => 'x' x 200 ], '/beat', ''), 'x' x 63, 'long');
};

subtest 'who has logged in' => sub {
    my $basic = 'Authorization: Basic QW5uOm9wZW4=';
    is($server->fetch('POST', '/basic', body => 'session=intruder', headers => [$FORM])->status, 401, 'without a password');
    is($server->fetch('POST', '/basic', body => 'session=intruder', headers => [ $FORM, 'Authorization: Basic QW5uOm5v' ])->status, 401, 'with a wrong one');
    is(user_of('/basic', 'user=Eve', $basic), 'Ann', 'a beat');
    is(user_of('/basic-ping', undef, $basic), 'Ann', 'a ping');
    sleep 0.4;
    is($redis->seen('one.test', 'intruder'), undef, 'nobody else was recorded');
};

subtest 'bytes' => sub {
    my $replaced = "\xef\xbf\xbd";
    is(user_of('/arg?u=J%F6rg'), "J${replaced}rg", 'what is no UTF-8 is replaced');
    is(user_of('/arg?u=a%00%0a%7fb'), "a$replaced$replaced${replaced}b", 'control characters too');
    is(user_of('/arg?u=' . 'x' x 64), 'x' x 63, 'cut at 63 bytes');
    is(user_of('/arg?u=' . 'x' x 62 . '%C3%B6'), 'x' x 62, 'between characters');
    is(user_of('/arg?u=%3Cb%3E%22%27%26'), q{<b>"'&}, 'markup is kept as it is');
    is(user_of('/arg?u=' . 'x' x 5000), 'x' x 63, 'very long');
};

no_bad_log_lines(qr/password mismatch|user .* not found|AH01617|no user.password/);
done_testing;
