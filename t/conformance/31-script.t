# The client script: a small part for each page view, never stored, and one that is the same for all, kept for good.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use IO::Compress::Gzip qw(gzip);
use IO::Uncompress::Gunzip qw(gunzip);
use Test::More;

my $nginx = Heartbeat::Server::kind() eq 'nginx';
sub script { my ($native, @settings) = @_; return { endpoint => 'script', settings => [@settings], %$native } }
my $server = server(
    main => [ [ heartbeat_zone => '1m' ] ],
    $nginx ? () : (extra_modules_before => ['deflate_module /usr/lib/apache2/modules/mod_deflate.so', 'filter_module /usr/lib/apache2/modules/mod_filter.so']),
    vhosts => [
        {   name => 'one.test',
            settings => [ [ heartbeat_keepalive_timeout => '75s' ] ],
            native_nginx => "        gzip on;\n        gzip_types *;\n        gzip_min_length 0;\n",
            native_apache => "    SetOutputFilter DEFLATE\n",
            locations => {
                '/hb/client.js' => script({}),
                '/often.js' => script({}, [ heartbeat_interval => '2s' ], [ heartbeat_idle => '5s' ]),
                '/rarely.js' => script({}, [ heartbeat_interval => '10m' ], [ heartbeat_idle => '1m' ]),
                '/listed.js' => script({}, [ heartbeat_origin => 'https://a.example' ]),
            },
        },
        {   name => 'two.test',
            native_nginx => "        keepalive_timeout 10s;\n",
            native_apache => "    KeepAliveTimeout 10\n",
            locations => { '/hb/client.js' => script({}) },
        },
        {   name => 'three.test',
            native_nginx => "        keepalive_timeout 0;\n",
            native_apache => "    KeepAlive Off\n",
            locations => { '/hb/client.js' => script({}) },
        },
    ],
)->start;

sub get { my ($path, %o) = @_; return $server->fetch('GET', $path, %o) }
sub settings { my ($r) = @_; return $r->body =~ /\{interval:(\d+),idle:(\d+),budget:(\d+)\}/ ? "$1 $2 $3" : 'none' }

my ($content) = get('/hb/client.js')->body =~ /\?c=([0-9a-f]{16})"/;
ok($content, 'the page view\'s part names the constant one') or BAIL_OUT('no content');
my $constant = "/hb/client.js?c=$content";

subtest 'the part of a page view' => sub {
    my $r = get('/hb/client.js');
    is($r->status, 200, 'status 200');
    is($r->header('content-type'), 'text/javascript; charset=utf-8', 'JavaScript');
    is($r->header('x-content-type-options'), 'nosniff', 'and nothing else');
    is($r->header('cache-control'), 'no-store', 'never stored');
    is($r->header('etag'), undef, 'no tag');
    cmp_ok(length $r->body, '<', 1024, 'small');
    unlike($r->body, qr/\@/, 'nothing is left to be filled in');
    is(settings($r), '30000 600000 20', 'the defaults');
};

subtest 'the settings of its place' => sub {
    is(settings(get('/often.js')), '2000 5000 2', 'interval, idle and how often one goes into the other');
    is(settings(get('/rarely.js')), '60000 60000 1', 'pings come before the connection ends, and at least one');
    is(settings(get('/hb/client.js', host => 'two.test')), '8000 600000 75', 'also where the server itself says when');
    is(settings(get('/hb/client.js', host => 'three.test')), '30000 600000 20', 'unless it keeps none at all');
};

subtest 'the constant part' => sub {
    my $r = get($constant);
    is($r->status, 200, 'status 200');
    is($r->header('content-type'), 'text/javascript; charset=utf-8', 'JavaScript');
    is($r->header('cache-control'), 'public, max-age=31536000, immutable', 'kept for good');
    like($r->header('vary'), qr/\bAccept-Encoding\b/, 'Vary');
    unlike($r->body, qr/\beval\b|new Function|innerHTML/, 'nothing that a strict policy forbids');
    is(get('/often.js?c=' . $content)->body, $r->body, 'the same everywhere');
    my $other = get('/hb/client.js?c=0123456789abcdef');
    is($other->body, $r->body, 'another version gets what there is');
    is($other->header('cache-control'), 'no-cache', 'but not for good');
};

subtest 'compressed' => sub {
    my $plain = get($constant)->body;
    my $gzip = get($constant, headers => ['Accept-Encoding: gzip, deflate']);
    is($gzip->header('content-encoding'), 'gzip', 'gzip, once');
    gunzip(\$gzip->{body} => \my $again);
    is($again, $plain, 'of the same');
    my $br = get($constant, headers => ['Accept-Encoding: gzip, deflate, br, zstd']);
    is($br->header('content-encoding'), 'br', 'Brotli where that is taken');
    my $hex = join '', map { sprintf '%02x', ord } split //, $br->body;
    my $unpacked = `node -e 'process.stdout.write(require("zlib").brotliDecompressSync(Buffer.from("$hex", "hex")))'`;
    is($unpacked, $plain, 'of the same');
    gzip(\get('/hb/client.js')->{body} => \my $loader);
    cmp_ok(length($br->body) + length $loader, '<', 5000, 'under 5 KB in all, where the server compresses the loader');
    cmp_ok(length($gzip->body) + length $loader, '<', 5500, 'and hardly more with gzip');
    for my $refusal ('identity', 'br;q=0, gzip;q=0', '*;q=0') {
        is(get($constant, headers => ["Accept-Encoding: $refusal"])->header('content-encoding'), undef, $refusal);
    }
    is(get($constant, headers => ['Accept-Encoding: br;q=0, *'])->header('content-encoding'), 'gzip', 'br;q=0, *');
};

subtest 'asked again' => sub {
    my $tag = get($constant)->header('etag');
    like($tag, qr{^W/"$content"$}, 'a tag');
    for my $known ($tag, "\"x\", $tag", $tag =~ s/"$/-gzip"/r, '*') {
        my $r = get($constant, headers => [ "If-None-Match: $known", 'Accept-Encoding: br' ]);
        is($r->status, 304, "$known: 304");
        is($r->header('etag'), $tag, 'with the tag');
        is($r->header('content-encoding'), undef, 'and no coding');
    }
    is(get($constant, headers => ['If-None-Match: W/"other"'])->status, 200, 'another tag: 200');
};

subtest 'HEAD' => sub {
    for my $path ('/hb/client.js', $constant) {
        my $c = $server->connect;
        my $r = $c->request('HEAD', $path, headers => ['Accept-Encoding: br']);
        is($r->status, 200, 'status 200');
        is($c->rest(0.2), '', 'no body');
        is($c->request('HEAD', $path)->status, 200, 'the connection stays');
    }
};

subtest 'other methods' => sub {
    my $r = $server->fetch('POST', '/hb/client.js', body => 'x=1');
    is($r->status, 405, 'status 405');
    is($r->header('allow'), 'GET, HEAD', 'Allow');
};

subtest 'other origins' => sub {
    for my $path ('/listed.js', "/listed.js?c=$content") {
        is(get($path, headers => ['Origin: https://a.example'])->header('access-control-allow-origin'), 'https://a.example', 'may be read by one that is listed');
        is(get($path, headers => ['Origin: https://b.example'])->header('access-control-allow-origin'), undef, 'and by no other');
    }
    is(get($constant, headers => ['Origin: https://a.example'])->header('access-control-allow-origin'), undef, 'by none where none is');
};

subtest 'HTTP/1.0' => sub {
    my $c = $server->connect;
    is($c->request('GET', $constant, version => '1.0')->status, 200, 'status 200');
    ok(defined $c->until_closed(2), 'and closes');
};

no_bad_log_lines();
done_testing;
