# The beacon: what is taken, by POST and as an image, and what is refused; who may send from elsewhere; what Redis has of
# it in the end.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Heartbeat::Token;
use JSON::PP;
use List::Util qw(pairs);
use MIME::Base64 qw(encode_base64url);
use Test::More;

my $SECRET = 'of page views, long enough to be one';
my $keys = Heartbeat::Token::key_file(workplace(), 'views.key', $SECRET);
my $spool = workplace() . '/spool';
my $redis = redis();
my $server = server(
    main => [ [ heartbeat_zone => '2m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '200ms' ], [ heartbeat_spool => $spool ] ],
    vhosts => [ {
        name => 'one.test', tls => 1,
        settings => [ [ heartbeat_ids => 'plain' ], [ heartbeat_key_file => $keys ], [ heartbeat_session => 'cookie:sid' ] ],
        locations => {
            both_endpoints(),
            '/hb/client.js' => { endpoint => 'script' },
            '/ordered.js' => { endpoint => 'script', settings => [ [ heartbeat_transports => 'image', 'beacon' ], [ heartbeat_body => '8k' ] ] },
            '/hb/beacon' => { endpoint => 'beacon' },
            '/small' => { endpoint => 'beacon', settings => [ [ heartbeat_body => '1k' ] ] },
            '/cors' => { endpoint => 'beacon', settings => [ [ heartbeat_origin => 'https://a.example' ] ] },
        },
    }, {
        name => 'two.test',
        settings => [ [ heartbeat_site => 'brief' ], [ heartbeat_ids => 'plain' ], [ heartbeat_key_file => $keys ], [ heartbeat_session => 'cookie:sid' ], [ heartbeat_timeout => '2s' ], [ heartbeat_grace => '1s' ], [ heartbeat_shards => 2 ] ],
        locations => { '/hb/beacon' => { endpoint => 'beacon' }, '/hb/ping' => { endpoint => 'ping' }, '/hb/beat' => { endpoint => 'beat' } },
    }, {
        name => 'three.test',
        settings => [ [ heartbeat_site => 'known' ], [ heartbeat_key_file => $keys ], [ heartbeat_anonymous => 'off' ] ],
        locations => { '/s.js' => { endpoint => 'script' } },
    } ],
)->start;

my $views = 0;
sub view { my (%claims) = @_; my $vid = sprintf 'view-%03d', ++$views; return ($vid, Heartbeat::Token::mint($SECRET, vid => $vid, %claims)) }
sub send_batch {
    my ($token, $query, $body, %o) = @_;
    return $server->fetch('POST', ($o{path} // '/hb/beacon') . "?v=$token&$query", body => $body, $o{host} ? (host => $o{host}) : (), headers => [ ($o{type} // 'text/plain;charset=UTF-8') =~ /(.+)/ ? "Content-Type: $1" : (), @{ $o{headers} // [] } ]);
}
sub known { my ($vid) = @_; return { @{ $redis->call('HGETALL', "hb:{one.test}:view:$vid") } } }
sub batches { my ($vid) = @_; return { @{ $redis->call('HGETALL', "hb:{one.test}:batch:$vid") } } }
sub arrived { my ($vid, $number) = @_; return eventually { my $b = batches($vid); exists $b->{$number} && $b } 5 }

subtest 'the script gives each page view a name of its own' => sub {
    my %seen;
    for my $path ('/hb/client.js', '/hb/client.js', '/ordered.js') {
        my $body = $server->fetch('GET', $path, headers => ['Cookie: sid=anna'])->body;
        my ($token) = $body =~ /view:"([\w.-]+)"/;
        ok($token, "$path: a token") or return;
        my $claims = Heartbeat::Token::claims($token);
        like($claims->{vid}, qr/\A[\w-]{22}\z/, 'of 128 random bits');
        ok(!$seen{ $claims->{vid} }++, 'another each time');
        is_deeply([ sort keys %$claims ], [qw(exp vid)], 'that says nothing else');
        cmp_ok(abs($claims->{exp} - time - 7 * 86400), '<', 10, 'and is good for the retention');
        my ($order) = $body =~ /order:(\[[^\]]*\])/;
        is($order, $path eq '/ordered.js' ? '["image","beacon"]' : '["fetchLater","beacon","fetch","image"]', 'the order of transports');
        like($body, $path eq '/ordered.js' ? qr/most:8192/ : qr/most:65536/, 'the largest body');
        is(send_batch($token, 'n=0&e=load', '[]')->status, 204, 'its beacon is taken');
        ok(arrived($claims->{vid}, 0), 'and arrives');
        my $known = eventually { my $k = known($claims->{vid}); $k->{script} && $k } 5;
        ok($known->{script} && $known->{load}, 'delivered and loaded');
        is($known->{session}, 'anna', 'of this session');
    }
    unlike($server->fetch('HEAD', '/hb/client.js')->raw // '', qr/view:/, 'HEAD makes none');
};

subtest 'on a page of another origin a fetch comes before a beacon' => sub {
    my $order = sub {
        my ($path, $site) = @_;
        return $server->fetch('GET', $path, headers => [ 'Cookie: sid=anna', "Sec-Fetch-Site: $site" ])->body =~ s/.*order:\[([^\]]*)\].*/$1/sr;
    };
    is($order->('/hb/client.js', $_), '"fetchLater","fetch","beacon","image"', $_) for 'same-site', 'cross-site';
    is($order->('/hb/client.js', $_), '"fetchLater","beacon","fetch","image"', $_) for 'same-origin', 'none';
    is($order->('/ordered.js', 'cross-site'), '"image","beacon"', 'unless the settings have it otherwise');
};

subtest 'any content type, byte for byte' => sub {
    my %bodies = (
        'text/plain;charset=UTF-8' => '[{"a":1}]', 'application/json' => '{"b":2}', 'application/x-www-form-urlencoded' => 'c=3&d=%20',
        'multipart/form-data; boundary=x' => "--x\r\nContent-Disposition: form-data; name=\"e\"\r\n\r\n4\r\n--x--\r\n",
        'application/octet-stream' => join('', map {chr} 0 .. 255) x 100,
        '' => "what a browser calls no name: \0\xff",
    );
    my ($vid, $token) = view();
    my @types = sort keys %bodies;
    for my $n (0 .. $#types) {
        my $r = send_batch($token, "n=$n", $bodies{ $types[$n] }, type => $types[$n]);
        is($r->status, 204, $types[$n] || 'none');
        is($r->header('cache-control'), 'no-store', 'not stored');
    }
    my $have = arrived($vid, $#types);
    ok($have->{$_} eq $bodies{ $types[$_] }, "$types[$_]: as it was sent") for 0 .. $#types;
};

subtest 'as an image' => sub {
    my ($vid, $token) = view();
    my $data = "an image's \xff\0 data";
    my $r = $server->fetch('GET', "/hb/beacon?v=$token&n=0&e=leave&f=1&d=" . encode_base64url($data));
    is($r->status, 200, 'status 200');
    is($r->header('content-type'), 'image/gif', 'a GIF');
    is(length $r->body, 43, 'of 43 bytes');
    like($r->body, qr/\AGIF89a/, 'that is one');
    is($r->header('cache-control'), 'no-store', 'not stored');
    is(arrived($vid, 0)->{0}, $data, 'the data of its address');
    is(known($vid)->{transport}, 'image', 'came by an image');
    is($server->fetch('GET', "/hb/beacon?v=$token&n=1&d=a")->status, 400, 'no base64url');
    is($server->fetch('GET', "/hb/beacon?v=$token&n=1")->status, 200, 'nothing to say');
};

subtest 'what is refused' => sub {
    my ($vid, $token) = view();
    my $other = 'the key of somebody else, quite long';
    my %tokens = (
        none => '', forged => Heartbeat::Token::mint($other, vid => $vid), old => Heartbeat::Token::mint($SECRET, vid => $vid, exp => time - 1000),
        'of no view' => Heartbeat::Token::mint($SECRET, sid => 'x'), cut => substr($token, 0, -3), 'a name' => $vid,
        'an odd name' => Heartbeat::Token::mint($SECRET, vid => 'a b'), 'a long name' => Heartbeat::Token::mint($SECRET, vid => 'a' x 65),
    );
    for my $what (sort keys %tokens) {
        my $r = send_batch($tokens{$what}, 'n=0', 'x');
        is($r->status, 403, "$what: 403");
        like($r->body, qr/\A[^\n]+\n\z/, 'with a line that says why');
    }
    my %queries = ('' => 'n', 'n=' => 'n', 'n=x' => 'n', 'n=-1' => 'n', 'n=1000' => 'n', 'n=1.5' => 'n', 'n=0&e=gone' => 'e', 'n=0&x=pigeon' => 'x');
    for my $query (sort keys %queries) {
        my $r = send_batch($token, $query, 'x', headers => ['Accept: application/json']);
        is($r->status, 400, "$query: 400");
        like(eval { decode_json($r->body)->{error} } // '', qr/\A$queries{$query}: expected/, 'names it');
    }
    is(send_batch($token, 'n=0', 'x' x 1025, path => '/small')->status, 413, 'a large body: 413');
    is($server->fetch('GET', "/small?v=$token&n=0&d=" . encode_base64url('x' x 1025))->status, 413, 'a large image: 413');
    is($server->fetch('GET', "/hb/beacon?v=$token&n=0&d=" . 'A' x 7950)->status, 414, 'a long address: 414');
    is($server->fetch('GET', "/hb/beacon?v=$token&n=0&d=" . 'A' x 7600)->status, 200, 'one of 7,600 bytes is none');
    my $r = $server->fetch('PUT', "/hb/beacon?v=$token&n=0", body => 'x');
    is($r->status, 405, 'another method: 405');
    is($r->header('allow'), 'POST, GET', 'says which');
};

subtest 'what is forged leaves nothing behind' => sub {
    my ($vid, $token) = view();
    my $size = sub { my $sum = 0; $sum += -s for glob "$spool/*.spool"; return $sum };
    my $counted = sub { return { map { my $day = $_; map { ("$day $_->[0]" => $_->[1]) } pairs(@{ $redis->call('HGETALL', $day) }) } @{ $redis->call('KEYS', 'hb:{one.test}:delivery:*') } } };
    my %forged = map { ("forged-$_" => Heartbeat::Token::mint($_ eq 'key' ? 'another secret of page views, as long' : $SECRET, vid => "forged-$_", $_ eq 'old' ? (exp => time - 1000) : ())) } qw(key old);
    my ($spooled, $before) = ($size->(), $counted->());
    for my $name (sort keys %forged) {
        is(send_batch($forged{$name}, 'n=0&e=load', 'x', headers => ['Cookie: sid=forger'])->status, 403, "$name: refused");
        is($server->fetch('GET', "/hb/beacon?v=$forged{$name}&n=0&e=load&d=eA", headers => ['Cookie: sid=forger'])->status, 403, 'as an image, too');
    }
    is($size->(), $spooled, 'the spool is as it was');
    is(send_batch($token, 'n=0&e=more', 'x')->status, 204, 'a good one');
    ok(arrived($vid, 0), 'arrives behind them');
    is_deeply($redis->call('KEYS', "hb:*$_*"), [], "nothing is left of $_") for sort(keys %forged), 'forger', 'a b', 'a' x 65;
    is_deeply($counted->(), $before, 'and nothing is counted');
};

subtest 'from elsewhere' => sub {
    my ($vid, $token) = view();
    my @from = ('Origin: https://a.example');
    my $r = send_batch($token, 'n=0', 'x', path => '/cors', headers => \@from);
    is($r->header('access-control-allow-origin'), 'https://a.example', 'that very origin');
    is($r->header('access-control-allow-credentials'), 'true', 'with credentials, as sendBeacon always sends them');
    $r = $server->fetch('OPTIONS', '/cors', headers => [ @from, 'Access-Control-Request-Method: POST', 'Access-Control-Request-Headers: content-type' ]);
    is($r->status, 204, 'the preflight of JSON');
    like($r->header('access-control-allow-headers') // '', qr/content-type/i, 'allows the header');
    like($r->header('access-control-allow-methods') // '', qr/POST/, 'and the method');
    is(send_batch($token, 'n=1', 'x', headers => \@from)->header('access-control-allow-origin'), undef, 'no other place allows it');
};

subtest 'sent twice' => sub {
    my ($vid, $token) = view();
    is(send_batch($token, 'n=0&e=load', 'first')->status, 204, 'a batch');
    ok(arrived($vid, 0), 'arrives');
    is(send_batch($token, 'n=0&e=load', 'first')->status, 204, 'the same again: 204');
    is(send_batch($token, 'n=1&e=hidden&f=1&x=beacon', 'last')->status, 204, 'the final one');
    my $have = arrived($vid, 1);
    is_deeply($have, { 0 => 'first', 1 => 'last' }, 'each once');
    my $known = eventually { my $k = known($vid); ($k->{state} // '') eq 'complete' && $k } 5;
    is($known->{duplicates}, 1, 'one duplicate counted');
    is($known->{batches}, 2, 'two batches');
    my %streamed;
    for (@{ $redis->call('XRANGE', 'hb:{one.test}:beacons', '-', '+') }) { my %f = @{ $_->[1] }; $streamed{ $f{n} }++ if $f{view} eq $vid }
    is_deeply(\%streamed, { 0 => 1, 1 => 1 }, 'each once in the stream');
};

subtest 'a sign of life of its session' => sub {
    my ($vid, $token) = view();
    send_batch($token, 'n=0', 'x', headers => ['Cookie: sid=bert']);
    my $session = eventually { my $s = $redis->session('one.test', 'bert'); %$s && $s } 5;
    is($session->{source}, 'beacon', 'by a beacon');
    is($session->{last_active} || 0, 0, 'of no human');
    my ($own, $said) = view(sid => 'carl', sub => 'Carl');
    send_batch($said, 'n=0', 'x');
    $session = eventually { my $s = $redis->session('one.test', 'carl'); %$s && $s } 5;
    is($session->{source}, 'beacon', 'or of the one that an application names in the token');
};

subtest 'a goodbye stays one' => sub {
    my ($vid, $token) = view();
    my @who = (host => 'two.test', headers => ['Cookie: sid=dora']);
    $server->fetch('HEAD', '/hb/ping', @who);
    is(send_batch($token, 'n=0&e=load', 'x', @who)->status, 204, 'a page');
    is($server->fetch('POST', '/hb/beat', host => 'two.test', body => '{"leave":true}', headers => [ 'Cookie: sid=dora', 'Content-Type: text/plain' ])->status, 204, 'says goodbye');
    is(send_batch($token, "n=$_->[0]&e=$_->[1]", 'x', @who)->status, 204, "and sends what it has: $_->[1]") for [ 1, 'more' ], [ 2, 'hidden' ], [ 3, 'leave' ];
    my $events = sub { [ map { my %f = @{ $_->[1] }; ($f{id} // '') eq 'dora' ? $f{event} : () } map { @{ $redis->call('XRANGE', "hb:{brief/$_}:events", '-', '+') } } 0, 1 ] };
    eventually { grep { $_ eq 'offline' } @{ $events->() } } 20;
    is(send_batch($token, 'n=4&e=leave&f=1', 'x', @who)->status, 204, 'what comes late');
    sleep 1;
    is_deeply($events->(), [qw(online leave offline)], 'it came, left and is gone');
};

subtest 'too much of one page view' => sub {
    my ($vid, $token) = view();
    my @status = map { send_batch($token, "n=$_", 'x' x 65000)->status } 0 .. 17;
    is_deeply([ @status[ 0 .. 15 ] ], [ (204) x 16 ], 'one megabyte is taken');
    is($status[17], 429, 'not more');
    my $r = send_batch($token, 'n=18', 'x' x 65000);
    cmp_ok($r->header('retry-after'), '>=', 1, 'with Retry-After');
    my ($other, $more) = view();
    is(send_batch($more, 'n=0', 'x')->status, 204, 'another is not concerned');
};

subtest 'too many page views of one session' => sub {
    my ($c, %status);
    for my $i (0 .. 604) {
        my ($vid, $token) = view();
        $c = $server->connect if $i % 50 == 0; # less than a connection may make
        $status{ $c->request('POST', "/hb/beacon?v=$token&n=0", body => 'x', headers => ['Cookie: sid=flood'])->status }++;
    }
    is_deeply(\%status, { 204 => 600, 429 => 5 }, 'six hundred an hour');
};

subtest 'over HTTP/1.0, and HTTP/2 over TLS' => sub {
    my ($vid, $token) = view();
    is($server->fetch('POST', "/hb/beacon?v=$token&n=0", body => 'old', version => '1.0')->status, 204, 'HTTP/1.0');
    is(arrived($vid, 0)->{0}, 'old', 'arrives');
    my $port = $server->tls_port;
    is(qx(curl -sk --http2 --resolve one.test:$port:127.0.0.1 -H 'Content-Type: text/plain' --data-binary new -o /dev/null -w '%{http_version} %{http_code}' 'https://one.test:$port/hb/beacon?v=$token&n=1'),
        (Heartbeat::Server::kind() eq 'apache-prefork' ? '1.1' : '2') . ' 204', 'HTTP/2, where the server has it');
    is(arrived($vid, 1)->{1}, 'new', 'arrives');
};

subtest 'the spool' => sub {
    my ($mode) = map { sprintf '%o', (stat $spool)[2] & 07777 } 1;
    is($mode, '700', 'its directory is for nobody else');
    my @files = glob "$spool/*";
    ok(scalar @files, 'there are files') or return;
    is_deeply([ grep { (stat $_)[2] & 077 } @files ], [], 'nor are they');
    is((stat $_)[4], (stat "$spool")[4], "$_: of the server's user") for $files[0];
};

subtest 'a page view whose session goes before it is whole' => sub {
    my %views = map { $_ => [ view() ] } qw(gap silent whole);
    my $to = sub { my ($which, $query) = @_; send_batch($views{$which}[1], $query, 'x', path => '/hb/beacon', headers => ["Cookie: sid=$which"], host => 'two.test') };
    $to->(gap => $_) for 'n=0&e=load', 'n=2&e=leave&f=1';
    $to->(silent => 'n=0&e=load');
    $to->(whole => $_) for 'n=0&e=load', 'n=1&e=leave&f=1';
    my $events = sub {
        my %told;
        for my $part (0, 1) { for (@{ $redis->call('XRANGE', "hb:{brief/$part}:events", '-', '+') }) { my %f = @{ $_->[1] }; $told{ $f{view} }{ $f{event} } = \%f if $f{view} } }
        return \%told;
    };
    my $told = eventually { my $t = $events->(); (grep { $t->{ $views{$_}[0] }{'view-given-up'} } qw(gap silent)) == 2 && $t } 12;
    ok($told, 'is given up') or return;
    my ($gap, $silent) = map { $told->{ $views{$_}[0] }{'view-given-up'} } qw(gap silent);
    is_deeply([ @$gap{qw(session missing left)} ], [ 'gap', 1, 1 ], 'one batch is missing, it was left');
    is_deeply([ @$silent{qw(session missing left)} ], [ 'silent', 0, 0 ], 'it was never left');
    ok($told->{ $views{whole}[0] }{'view-complete'} && !$told->{ $views{whole}[0] }{'view-given-up'}, 'one that is whole is complete');
};

subtest 'keys that are those of somebody else' => sub {
    $redis->call('DEL', "hb:{brief/$_}:views") for 0, 1;
    $redis->call('SET', "hb:{brief/$_}:views", 'mine') for 0, 1;
    ok(eventually(sub { $server->error_log =~ /does not tell what became of page views: .*WRONGTYPE/ }, 5), 'the log says so');
    my ($vid, $token) = view();
    is(send_batch($token, 'n=0', 'all the same', host => 'two.test')->status, 204, 'a beacon is taken');
    ok(eventually(sub { grep { ($redis->call('HGET', "hb:{brief/$_}:batch:$vid", 0) // '') eq 'all the same' } 0, 1 }, 5), 'and arrives');
    unlike($server->error_log, qr/wait in the spool/, 'over the same connection');
    $redis->call('DEL', "hb:{brief/$_}:views") for 0, 1;
};

subtest 'where nobody is anonymous' => sub {
    my $loader = sub { $server->fetch('GET', '/s.js', host => 'three.test', headers => [@_])->body };
    unlike($loader->(), qr/view:/, 'a stranger gets no page view');
    like($loader->('Authorization: Bearer ' . Heartbeat::Token::mint($SECRET, sid => 'x', sub => 'Xenia')), qr/view:"/, 'the bearer of a token does');
};

subtest 'another directory takes a full restart' => sub {
    my $elsewhere = workplace() . '/spool2';
    my ($setting) = grep { $_->[0] eq 'heartbeat_spool' } @{ $server->{main} };
    $setting->[1] = $elsewhere;
    $server->write_config;
    $server->reload;
    my ($vid, $token) = view();
    is(send_batch($token, 'n=0', 'after')->status, 204, 'a beacon is taken');
    is(arrived($vid, 0)->{0}, 'after', 'and arrives');
    is_deeply([ glob "$elsewhere/*" ], [], 'nothing is in the new one yet');
    like($server->error_log, qr/\Q$spool\E.* until a full restart/, 'the log says so');
};

no_bad_log_lines();
done_testing;
