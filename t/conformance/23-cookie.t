# The anonymous session cookie: who gets one, what it says, when it is renewed, and which settings it needs.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Heartbeat::Token;
use MIME::Base64 ();
use Test::More;

my $SECRET = 'a secret of this test, 32 bytes or more';
my $FORM = 'Content-Type: application/x-www-form-urlencoded';

my $folder = workplace();
my $key = Heartbeat::Token::key_file($folder, 'key', $SECRET);
my $redis = redis();
my $server = server(
    main => [ [ heartbeat_zone => '2m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '200ms' ] ],
    vhosts => [
        {
            name => 'one.test', tls => 1,
            settings => [ [ heartbeat_ids => 'plain' ], [ heartbeat_key_file => $key ], [ heartbeat_cookie => 'hb' ] ],
            locations => {
                both_endpoints(),
                '/beat' => { endpoint => 'beat' },
                '/trimmed' => { endpoint => 'ping', settings => [ [ heartbeat_trim => 'on' ] ] },
                '/own' => { endpoint => 'ping', settings => [ [ heartbeat_cookie => 'visitor', 'HttpOnly', 'SameSite=Strict' ] ] },
                '/path' => { endpoint => 'ping', settings => [ [ heartbeat_cookie => 'visitor', 'Path=/shop', 'Max-Age=60' ] ] },
                '/third' => { endpoint => 'page', settings => [ [ heartbeat_cookie => 'visitor', 'Secure', 'HttpOnly', 'SameSite=None', 'Partitioned' ] ] },
                '/cors' => { endpoint => 'beat', settings => [ [ heartbeat_origin => 'https://a.example' ] ] },
                '/any' => { endpoint => 'beat', settings => [ [ heartbeat_origin => '*' ] ] },
                '/never' => { endpoint => 'ping', settings => [ [ heartbeat_policy => 'never' ] ] },
                '/header' => { endpoint => 'ping', settings => [ [ heartbeat_session => 'header:X-Session' ] ] },
                '/tracked.txt' => { settings => [ [ heartbeat_track => 'on' ] ] },
            },
        },
        { name => 'short.test', settings => [ [ heartbeat_ids => 'plain' ], [ heartbeat_key_file => $key ], [ heartbeat_cookie => 'hb' ], [ heartbeat_retention => '100s' ] ],
          locations => { both_endpoints(), '/beat' => { endpoint => 'beat' } } },
        { name => 'two.test', settings => [ [ heartbeat_key_file => $key ], [ heartbeat_cookie => 'hb' ], [ heartbeat_anonymous => 'off' ] ],
          locations => { both_endpoints() } },
        { name => 'plain.test', settings => [ [ heartbeat_key_file => $key ] ], locations => { both_endpoints() } },
    ],
)->start;

sub get { my ($path, %o) = @_; return $server->fetch('GET', $path, %o) }
sub beat { my ($path, $body, @headers) = @_; return $server->fetch('POST', $path, body => $body, headers => [ $FORM, @headers ]) }
sub issued { my ($r) = @_; return ($r->header('set-cookie') // '') =~ /^\w+=([^;]+)/ ? $1 : '' }
sub attributes { my ($r) = @_; return ($r->header('set-cookie') // '') =~ s/^\w+=[^;]+;? ?//r }
sub recorded { my ($id, $site) = @_; return eventually { $redis->seen($site // 'one.test', $id) } 3 }

subtest 'who has none gets one' => sub {
    my %seen;
    for my $ask (sub { get('/hb/ping') }, sub { $server->fetch('HEAD', '/hb/ping') }, sub { get('/hb/page') }, sub { beat('/beat', '') }) {
        my $r = $ask->();
        like($r->status, qr/^20[04]$/, 'answered');
        my $token = issued($r);
        my $claims = eval { Heartbeat::Token::claims($token) } // {};
        like($claims->{sid} // '', qr/^anon\.[\w-]{22}$/, 'a session of 128 bits');
        ok(!$seen{ $claims->{sid} }++, 'that nobody else has');
        cmp_ok(abs($claims->{exp} - time - 7 * 86400), '<', 5, 'for the retention');
        is(join(' ', sort keys %$claims), 'exp sid', 'and nothing else');
        is(attributes($r), 'Path=/; Max-Age=604800; HttpOnly; SameSite=Lax', 'its attributes');
        is($r->header('cache-control') =~ /no-store/, 1, 'not stored');
        ok(recorded($claims->{sid}), 'recorded at once');
        like($r->body, qr/data-state="alive"/, 'the page knows') if $r->body ne '';
        is(Heartbeat::Token::sign($SECRET, map { MIME::Base64::decode_base64url($_) } (split /\./, $token)[ 0, 1 ]), $token, 'signed by the key');
        for my $again (map { $_->() } sub { get('/hb/ping', headers => ["Cookie: hb=$token"]) }, sub { get('/hb/page', headers => ["Cookie: x=1; hb=$token"]) },
            sub { beat('/beat', '', "Cookie: hb=$token") })
        {
            is($again->header('set-cookie'), undef, 'who has one gets no other');
        }
        is(eventually { ($redis->beats('one.test', $claims->{sid}) // 0) == 4 && 4 }, 4, 'and is one session');
        is($server->fetch('GET', '/tracked.txt', headers => ["Cookie: hb=$token"])->header('set-cookie'), undef, 'an ordinary request sets none');
        is(eventually { ($redis->beats('one.test', $claims->{sid}) // 0) == 5 && 5 }, 5, 'but counts');
    }
};

subtest 'attributes' => sub {
    is(attributes(get('/own')), 'HttpOnly; SameSite=Strict; Path=/; Max-Age=604800', 'as they are written');
    is(attributes(get('/path')), 'Path=/shop; Max-Age=60', 'none twice');
    is(attributes(get('/third')), 'Secure; HttpOnly; SameSite=None; Partitioned; Path=/; Max-Age=604800', 'for a frame of another site');
    like(get('/own')->header('set-cookie'), qr/^visitor=/, 'the name');
    is(attributes(get('/hb/ping', tls => 1)), 'Path=/; Max-Age=604800; HttpOnly; SameSite=Lax; Secure', 'over https');
};

subtest 'trimmed' => sub {
    my $r = $server->fetch('HEAD', '/trimmed');
    my $token = issued($r);
    is(join(' ', sort keys %{ $r->{headers} }), 'cache-control set-cookie', 'with a cookie that is due');
    is($server->fetch('HEAD', '/trimmed', headers => ["Cookie: hb=$token"])->raw, "HTTP/1.1 204 No Content\r\n\r\n", 'and without one');
};

subtest 'renewed' => sub {
    my $ask = sub {
        my ($left, %claims) = @_;
        my $token = Heartbeat::Token::mint($SECRET, sid => 'anon.renewed', exp => time + $left, %claims);
        return $server->fetch('GET', '/hb/ping', host => 'short.test', headers => ["Cookie: hb=$token"]);
    };
    is($ask->(60)->header('set-cookie'), undef, 'more than half of its life is left');
    my $r = $ask->(40);
    my $claims = eval { Heartbeat::Token::claims(issued($r)) } // {};
    is($claims->{sid}, 'anon.renewed', 'less: the same session');
    cmp_ok(abs($claims->{exp} - time - 100), '<', 3, 'for its whole life again');
    is($ask->(40, %$_)->header('set-cookie'), undef, 'a token of the application is left alone') for { sub => 'Ann' }, { sid => 'its-own' };
    ok(recorded($_, 'short.test'), 'recorded') for 'anon.renewed', 'its-own';
};

subtest 'what is wrong with one' => sub {
    my %wrong = (
        expired => Heartbeat::Token::mint($SECRET, sid => 'bad', exp => time - 600),
        forged => Heartbeat::Token::mint('another secret, just as long as the first', sid => 'bad'),
        nonsense => 'a.b.c', plain => 'bad', long => 'x' x 5000,
    );
    for my $what (sort keys %wrong) {
        for my $ask (sub { get('/hb/ping', headers => [@_]) }, sub { get('/hb/page', headers => [@_]) }, sub { beat('/beat', '', @_) }) {
            my $r = $ask->("Cookie: hb=$wrong{$what}");
            like($r->status, qr/^20[04]$/, "$what: no error");
            like(issued($r), qr/\./, 'another one');
        }
    }
    is(get("/hb/ping?t=$wrong{expired}")->status, 403, 'in the query it is refused');
    sleep 0.4;
    is(join(' ', grep { !m{^anon\.[^.]*$} } grep {/^bad$|\.|x{10}/} keys %{ $redis->all_seen('one.test') }), '', 'and nobody is recorded by it');
};

subtest 'other sources' => sub {
    is(beat('/beat', 'session=from-body')->header('set-cookie'), undef, 'a session of the body');
    ok(recorded('from-body'), 'is recorded');
    my $mine = issued(get('/hb/ping'));
    my $r = beat('/beat', 'token=' . Heartbeat::Token::mint($SECRET, sid => 'logged-in', sub => 'Ann'), "Cookie: hb=$mine");
    is($r->header('set-cookie'), undef, 'a token of the application');
    ok(recorded('logged-in'), 'comes before the cookie');
    is($redis->session('one.test', 'logged-in')->{user}, 'Ann', 'with its user');
    is(get('/header', headers => ['X-Session: named'])->header('set-cookie'), undef, 'another source');
    like(issued(get('/header', headers => ["Cookie: hb=$mine"])) . 'x', qr/^x$/, 'and the cookie where that has nothing');
};

subtest 'who gets none' => sub {
    is(get('/never')->header('set-cookie'), undef, 'where nothing is recorded');
    is(get('/hb/ping', host => 'two.test')->header('set-cookie'), undef, 'where nobody is anonymous');
    is(get('/hb/ping', host => 'plain.test')->header('set-cookie'), undef, 'without the setting');
    is($server->fetch('OPTIONS', '/cors', headers => [ 'Origin: https://a.example', 'Access-Control-Request-Method: POST' ])->header('set-cookie'), undef, 'a preflight');
    is(beat('/beat', 'active=x')->header('set-cookie'), undef, 'a mistake');
};

subtest 'other origins' => sub {
    my $r = beat('/cors', '', 'Origin: https://a.example');
    like(issued($r), qr/\./, 'one that may call');
    is($r->header('access-control-allow-origin'), 'https://a.example', 'may');
    for my $case ([ '/cors', 'https://evil.example' ], [ '/beat', 'https://a.example' ], [ '/any', 'https://a.example' ], [ '/beat', 'null' ]) {
        my ($path, $origin) = @$case;
        $r = beat($path, '', "Origin: $origin");
        is($r->header('set-cookie'), undef, "$path: $origin: none");
        is($r->status, 400, 'and no session');
    }
    for my $origin ('http://one.test', 'https://one.test') { like(issued(beat('/beat', '', "Origin: $origin")), qr/\./, "its own: $origin") }
};

subtest 'HTTP/2' => sub {
    plan skip_all => 'the prefork MPM does not serve HTTP/2' if $server->is_prefork;
    my $port = $server->tls_port;
    for my $more ('', "-H 'Origin: https://one.test:$port'") {
        my $text = `curl -sk --http2 --max-time 10 -D - -d '' $more --resolve one.test:$port:127.0.0.1 'https://one.test:$port/beat' 2>&1`;
        like($text, qr/^HTTP\/2 204/, 'answered');
        like($text, qr/^set-cookie: hb=[\w.-]+; Path=\/; Max-Age=604800; HttpOnly; SameSite=Lax; Secure\r?$/m, 'the cookie');
    }
};

subtest 'what it needs' => sub {
    my $public = "$folder/public.pem";
    system "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 2>/dev/null | openssl pkey -pubout -out $public 2>/dev/null";
    my @cases = (
        [ 'no key', [ heartbeat_cookie => 'hb' ] ],
        [ 'a key that cannot sign', [ heartbeat_cookie => 'hb' ], [ heartbeat_key_file => $public ] ],
        [ 'nobody anonymous and no key', [ heartbeat_anonymous => 'off' ] ],
    );
    for my $case (@cases) {
        my ($what, @settings) = @$case;
        my $test = server(main => [ [ heartbeat_zone => '1m' ] ], vhosts => [ { name => 'one.test', settings => \@settings, locations => { both_endpoints() } } ]);
        my ($code, $text) = $test->configtest;
        my ($name, $config) = ($test->spelled($settings[0][0]), $test->config_path);
        isnt($code, 0, "$what: the configuration test ends");
        like($text, qr/\Q$name\E: .*expected \Q${\$test->spelled('heartbeat_key_file')}\E/, 'and says what is missing');
        my ($line) = $text =~ /\Q$config\E:(\d+)|line (\d+) of \Q$config\E/ ? ($1 // $2) : 0;
        like((split /\n/, Heartbeat::Server::slurp($config))[ $line - 1 ], qr/\Q$name\E/, 'at the line of the directive') or diag $text;
    }
    my $test = server(main => [ [ heartbeat_zone => '1m' ] ], vhosts => [ { name => 'one.test', settings => [ [ heartbeat_key_file => $key ] ],
        locations => { '/hb/ping' => { endpoint => 'ping', settings => [ [ heartbeat_cookie => 'hb' ] ] } } } ]);
    is(($test->configtest)[0], 0, 'in a location, with a key of the virtual host');
    $test = server(main => [ [ heartbeat_zone => '1m' ] ], vhosts => [ { name => 'one.test',
        locations => { '/hb/ping' => { endpoint => 'ping', settings => [ [ heartbeat_cookie => 'hb' ] ] } } } ]);
    isnt(($test->configtest)[0], 0, 'in a location, without');
    $test = server(main => [ [ heartbeat_zone => '1m' ] ], vhosts => [ { name => 'one.test', settings => [ [ heartbeat_key_file => $key ], [ heartbeat_cookie => 'hb', 'SameSite=None' ] ], locations => { both_endpoints() } } ]);
    my ($code, $text) = $test->configtest;
    isnt($code, 0, 'one that browsers drop is refused');
    like($text, qr/Secure/, 'with the reason');
};

no_bad_log_lines(qr/AH00489|configtest/);
done_testing;
