# Tokens on the wire: where they are found, which are refused, what a reload with other keys changes, and who is
# recorded where nobody is anonymous.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Heartbeat::Token;
use MIME::Base64 qw(encode_base64url);
use Test::More;

my $SECRET = 'a secret of this test, 32 bytes or more';
my $OTHER = 'another secret, just as long as the first';
my $FORM = 'Content-Type: application/x-www-form-urlencoded';

my $folder = workplace();
my ($key, $other) = (Heartbeat::Token::key_file($folder, 'key', $SECRET), Heartbeat::Token::key_file($folder, 'other', $OTHER));
my %kinds = (rsa => 'RSA -pkeyopt rsa_keygen_bits:2048', ec => 'EC -pkeyopt ec_paramgen_curve:P-256');
system("openssl genpkey -algorithm $kinds{$_} -out $folder/$_ 2>/dev/null && openssl pkey -in $folder/$_ -pubout -out $folder/$_.public") == 0 or die $_ for sort keys %kinds;
my $redis = redis();
my %locations = (both_endpoints(), '/beat' => { endpoint => 'beat' }, '/plain.txt' => { settings => [ [ heartbeat_track => 'on' ] ] });
my $server = server(
    main => [ [ heartbeat_zone => '2m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '200ms' ] ],
    vhosts => [
        { name => 'one.test', settings => [ [ heartbeat_ids => 'plain' ], [ heartbeat_key_file => $key ] ],
          locations => { %locations, '/cors' => { endpoint => 'beat', settings => [ [ heartbeat_origin => 'https://a.example' ] ] },
              '/raw' => { endpoint => 'ping', settings => [ [ heartbeat_session => 'cookie:hb' ] ] } } },
        { name => 'two.test', settings => [ [ heartbeat_ids => 'plain' ], [ heartbeat_key_file => $key ], [ heartbeat_anonymous => 'off' ] ],
          locations => {%locations} },
        { name => 'pem.test', settings => [ [ heartbeat_ids => 'plain' ], [ heartbeat_key_file => map {"$folder/$_.public"} qw(rsa ec) ] ],
          locations => {%locations} },
        { name => 'keyless.test', settings => [ [ heartbeat_ids => 'plain' ] ], locations => {%locations} },
    ],
)->start;

my $n = 0;
sub id { return 'sid' . ++$n }
sub token { my ($sid, %claims) = @_; return Heartbeat::Token::mint($SECRET, sid => $sid, %claims) }
sub beat { my ($body, @headers) = @_; return $server->fetch('POST', '/beat', body => $body, headers => [ $FORM, @headers ]) }
sub recorded { my ($site, $id) = @_; return eventually { $redis->seen($site, $id) } 3 }

subtest 'where a token is found' => sub {
    for my $path ('/hb/ping', '/hb/page') {
        my $status = $path =~ /ping/ ? 204 : 200;
        for my $scheme ('Bearer', 'bearer') {
            my $id = id();
            is($server->fetch('GET', $path, headers => [ "Authorization: $scheme " . token($id) ])->status, $status, "$path: $scheme");
            ok(recorded('one.test', $id), 'recorded');
        }
        for my $place ('Cookie: hb=%s', '?t=%s', '?a=1&v=%s') {
            my ($id, $filled) = id();
            $filled = sprintf $place, token($id);
            my $r = $place =~ /^\?/ ? $server->fetch('GET', "$path$filled") : $server->fetch('GET', $path, headers => [$filled]);
            is($r->status, $status, "$path: $place");
            ok(recorded('one.test', $id), 'recorded');
        }
    }
    my $id = id();
    is(beat('token=' . token($id, sub => 'Ann'))->status, 204, 'in the body');
    ok(recorded('one.test', $id), 'recorded');
    is($redis->session('one.test', $id)->{user}, 'Ann', 'with its user');
    $id = id();
    is($server->fetch('POST', '/beat', body => '{"token":"' . token($id) . '"}', headers => ['Content-Type: application/json'])->status, 204, 'as JSON');
    ok(recorded('one.test', $id), 'recorded');
    $id = id();
    is(beat('', 'Authorization: Bearer ' . Heartbeat::Token::mint($SECRET, sub => $id))->status, 204, 'with a user alone');
    ok(recorded('one.test', $id), 'who is the session as well');
    is($server->ping('plain' . $n, target => '/hb/ping?t=12345')->status, 204, 'a nonce is no token');
    ok(recorded('one.test', 'plain' . $n), 'and the cookie is as ever');
};

subtest 'the same token many times' => sub {
    my $id = id();
    my $c = $server->connect;
    my $token = token($id);
    is(scalar(grep { $c->request('HEAD', '/hb/ping', headers => ["Cookie: hb=$token"])->status == 204 } 1 .. 50), 50, 'fifty pings');
    is(eventually { ($redis->beats('one.test', $id) // 0) == 50 && 50 }, 50, 'are counted');
};

my $payload = sub { my ($sid, $seconds) = @_; return qq({"sid":"$sid","exp":) . (time + ($seconds // 600)) . '}' };
my $head = '{"alg":"HS256","typ":"JWT"}';
my @bad = (
    [ 'expired', Heartbeat::Token::sign($SECRET, $head, $payload->('bad', -600)), qr/expired/ ],
    [ 'of another key', Heartbeat::Token::sign($OTHER, $head, $payload->('bad')), qr/signature/ ],
    [ 'without an end', Heartbeat::Token::sign($SECRET, $head, '{"sid":"bad"}'), qr/expires/ ],
    [ 'of no algorithm', encode_base64url('{"alg":"none"}') . '.' . encode_base64url($payload->('bad')) . '.x', qr/token/ ],
    [ 'of another algorithm', Heartbeat::Token::sign($SECRET, '{"alg":"HS512"}', $payload->('bad')), qr/algorithm/ ],
    [ 'of nobody', Heartbeat::Token::sign($SECRET, $head, '{"exp":' . (time + 600) . '}'), qr/malformed/ ],
    [ 'of nonsense', 'a.b.c', qr/malformed/ ],
    [ 'of tomorrow', Heartbeat::Token::mint($SECRET, sid => 'bad', nbf => time + 300), qr/not valid yet/ ],
    [ 'cut', substr(Heartbeat::Token::mint($SECRET, sid => 'bad'), 0, -3), qr/signature/ ],
    [ 'of two minds', Heartbeat::Token::sign($SECRET, $head, '{"sid":"bad","sid":"worse","exp":' . (time + 600) . '}'), qr/malformed/ ],
    [ 'that never ends', Heartbeat::Token::mint($SECRET, sid => 'bad', more => 'x' x 3000), qr/malformed/ ],
);

subtest 'what is refused' => sub {
    for my $case (@bad) {
        my ($what, $token, $why) = @$case;
        my @answers = (
            $server->fetch('GET', '/hb/ping', headers => ["Cookie: hb=$token"]), $server->fetch('GET', "/hb/page?t=$token"),
            $server->fetch('GET', '/hb/ping', headers => ["Authorization: Bearer $token"]), beat("token=$token&session=bad"),
            beat('session=bad', "Cookie: hb=$token"), $server->fetch('GET', '/raw', headers => ["Cookie: hb=$token"]),
        );
        is(join(' ', map { $_->status } @answers), join(' ', (403) x 6), "$what: 403");
        is(scalar(grep { $_->body =~ /\A[^\n]+\n\z/ && $_->body =~ $why } @answers), 6, 'and the reason') or diag $answers[0]->body;
        is(scalar(grep { index($_->raw, $token) >= 0 } @answers), 0, 'never the token');
        is(scalar(grep { ($_->header('cache-control') // '') eq 'no-store' } @answers), 6, 'not stored');
    }
    my $r = $server->fetch('HEAD', "/hb/ping?t=$bad[0][1]");
    is($r->status, 403, 'HEAD: 403');
    is($r->body, '', 'without a body');
    is(beat('token=no-token')->status, 403, 'what a body calls a token must be one');
    is($server->fetch('GET', '/hb/ping', headers => ['Authorization: Bearer opaque'])->status, 403, 'and what a header calls one');
    is($server->fetch('GET', '/hb/ping', headers => ['Authorization: Basic QW5uOng='])->status, 204, 'another scheme is none');
    is($server->fetch('GET', '/plain.txt', headers => ["Cookie: hb=$bad[1][1]"])->status, 200, 'an ordinary request is answered');
    $r = $server->fetch('POST', '/cors', body => "token=$bad[0][1]", headers => [ $FORM, 'Origin: https://a.example' ]);
    is($r->header('access-control-allow-origin'), 'https://a.example', 'a script of another origin may read why');
    $r = $server->fetch('GET', '/hb/ping', headers => [ "Cookie: hb=$bad[0][1]", 'Accept: application/json' ]);
    like($r->body, qr/\A\{"error":"[^"]*expired[^"]*"\}\n\z/, 'JSON, if asked for');
    sleep 0.5;
    is(join(' ', grep {/bad|\./} keys %{ $redis->all_seen('one.test') }), '', 'nobody was recorded');
};

subtest 'clocks that differ' => sub {
    for my $claims ({ nbf => time + 30 }, { exp => time - 30 }) {
        my $id = id();
        is($server->ping(undef, target => '/hb/ping?t=' . token($id, %$claims))->status, 204, join ' ', %$claims, 'is near enough');
        ok(recorded('one.test', $id), 'recorded');
    }
};

subtest 'keys in pairs' => sub {
    my $ask = sub { my ($token) = @_; return $server->fetch('GET', "/hb/ping?t=$token", host => 'pem.test') };
    for my $case ([ RS256 => 'rsa' ], [ ES256 => 'ec' ]) {
        my ($algorithm, $name) = @$case;
        my $id = id();
        is($ask->(Heartbeat::Token::mint_with($algorithm, "$folder/$name", sid => $id))->status, 204, "$algorithm is believed");
        ok(recorded('pem.test', $id), 'recorded');
        is($ask->(Heartbeat::Token::mint_with($algorithm, "$folder/$name", sid => 'bad', exp => time - 600))->status, 403, 'not for ever');
        my $confused = $ask->(Heartbeat::Token::mint(Heartbeat::Server::slurp("$folder/$name.public"), sid => 'bad'));
        is($confused->status, 403, 'a public key is no secret');
        like($confused->body, qr/algorithm/, 'and why');
    }
    system("openssl genpkey -algorithm $kinds{rsa} -out $folder/stranger 2>/dev/null");
    like($ask->(Heartbeat::Token::mint_with('RS256', "$folder/stranger", sid => 'bad'))->body, qr/signature/, 'nor is a stranger');
    sleep 0.5;
    is($redis->seen('pem.test', 'bad'), undef, 'nobody else was recorded');
};

subtest 'a cookie of tokens is never an id' => sub {
    my $id = id();
    is($server->fetch('GET', '/raw', headers => [ 'Cookie: hb=' . token($id) ])->status, 204, 'where only the cookie counts');
    ok(recorded('one.test', $id), 'the session in it is recorded');
    is(join(' ', grep {/\./} keys %{ $redis->all_seen('one.test') }), '', 'not the token');
};

subtest 'the first that is found' => sub {
    my ($header, $cookie, $t, $v, $body) = map { id() } 1 .. 5;
    my @headers = ('Cookie: hb=' . token($cookie), 'Authorization: Bearer ' . token($header));
    my $query = '?v=' . token($v) . '&t=' . token($t);
    my $post = sub { my ($target, @h) = @_; return $server->fetch('POST', $target, body => 'token=' . token($body), headers => [ $FORM, @h ])->status };
    is($post->("/beat$query", @headers), 204, 'all of them');
    is($post->("/beat$query", $headers[0]), 204, 'without the header');
    is($post->("/beat$query"), 204, 'without the cookie');
    is($post->('/beat?v=' . token($v)), 204, 'without t');
    is($post->('/beat'), 204, 'the body alone');
    for my $each ([ header => $header ], [ cookie => $cookie ], [ t => $t ], [ v => $v ], [ body => $body ]) {
        is(eventually { $redis->beats('one.test', $each->[1]) }, 1, "$each->[0] once");
    }
};

subtest 'without keys' => sub {
    my $token = token('keyless');
    is($server->fetch('GET', '/hb/ping', host => 'keyless.test', headers => ['Authorization: Bearer nonsense'])->status, 204, 'no token is looked at');
    is($server->fetch('POST', '/beat', host => 'keyless.test', body => "session=k1&token=$token", headers => [$FORM])->status, 204, 'nor believed');
    ok(recorded('keyless.test', 'k1'), 'the session of the body counts');
    is($redis->seen('keyless.test', 'keyless'), undef, 'not that of the token');
};

subtest 'nobody anonymous' => sub {
    my $ask = sub { my ($method, $path, $body, @headers) = @_; return $server->fetch($method, $path, host => 'two.test', headers => [ $FORM, @headers ], defined $body ? (body => $body) : ()) };
    my $r = $ask->('POST', '/beat', 'session=anon', 'Cookie: hb=anon');
    is($r->status, 403, 'a beat without a token: 403');
    like($r->body, qr/token/, 'and why');
    is($ask->('GET', '/hb/ping', undef, 'Cookie: hb=anon')->status, 204, 'a ping is answered');
    $r = $ask->('GET', '/hb/page', undef, 'Cookie: hb=anon');
    is($r->status, 200, 'a page as well');
    like($r->body, qr/data-state="none"/, 'which knows of no session');
    is($ask->('GET', '/plain.txt', undef, 'Cookie: hb=anon')->status, 200, 'an ordinary request too');
    is($ask->('GET', '/hb/ping', undef, "Cookie: hb=$bad[1][1]")->status, 403, 'a bad token: 403');
    my @ids = map { id() } 1 .. 3;
    is($ask->('POST', '/beat', 'token=' . token($ids[0]))->status, 204, 'a beat with a token');
    is($ask->('GET', '/hb/ping?t=' . token($ids[1]))->status, 204, 'a ping with one');
    is($ask->('GET', '/plain.txt', undef, 'Cookie: hb=' . token($ids[2]))->status, 200, 'an ordinary request with one');
    ok(recorded('two.test', $_), "$_ is recorded") for @ids;
    is($redis->seen('two.test', 'anon'), undef, 'nobody else');
};

subtest 'other keys after a reload' => sub {
    my ($before, $after) = (token(id()), Heartbeat::Token::mint($OTHER, sid => id()));
    my $status = sub { my ($token) = @_; return $server->ping(undef, target => "/hb/ping?t=$token")->status };
    is($status->($before), 204, 'the first key is believed');
    is($status->($after), 403, 'the second is not');
    my ($files) = grep { $_->[0] eq 'heartbeat_key_file' } @{ $server->{vhosts}[0]{settings} };
    @$files = (heartbeat_key_file => $other, $key);
    $server->reload;
    is(eventually { $status->($after) == 204 && 204 }, 204, 'the second signs now, and is believed');
    is(eventually { $status->($before) == 204 && 204 }, 204, 'the first still is');
    @$files = (heartbeat_key_file => $other);
    $server->reload;
    is(eventually { $status->($before) == 403 && 403 }, 403, 'until it is taken away');
    is(eventually { $status->($after) == 204 && 204 }, 204, 'the second stays');
    # The same path with another key in it.
    Heartbeat::Token::key_file($folder, 'other', $SECRET);
    $server->reload;
    is(eventually { $status->($before) == 204 && 204 }, 204, 'a file is read anew');
    is(eventually { $status->($after) == 403 && 403 }, 403, 'and what it held is forgotten');
};

subtest 'keys are not shown' => sub {
    my $log = $server->error_log . Heartbeat::Server::slurp("$server->{dir}/access.log");
    my $dump = $server->dump;
    like($dump, qr/\Q$key\E/, 'a dump of the configuration names the file');
    for my $secret ($SECRET, $OTHER) { unlike($_, qr/\Q$secret\E/, 'not in the logs, and no dump shows it') for $log, $dump }
    my $short = Heartbeat::Token::key_file($folder, 'short', 'tooshort');
    my $public = Heartbeat::Token::key_file($folder, 'public', `openssl genpkey -algorithm ed25519 2>/dev/null`);
    for my $path ($short, $public, "$folder/none") {
        my $test = server(main => [ [ heartbeat_zone => '1m' ] ],
            vhosts => [ { name => 'one.test', settings => [ [ heartbeat_key_file => $path ] ], locations => { both_endpoints() } } ]);
        my ($code, $text) = $test->configtest;
        isnt($code, 0, 'a bad key file stops the configuration test');
        like($text, qr/\Q$path\E/, 'is named');
        like($text, qr/expected/, 'with what is expected');
        like($text, qr/${\$test->config_path}:\d+|line \d+ of ${\$test->config_path}/, 'file and line');
        unlike($text, qr/tooshort|PRIVATE/, 'without what it holds');
    }
};

no_bad_log_lines(qr/AH00489|configtest/);
done_testing;
