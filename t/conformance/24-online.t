# Who is online: the same list in every format, cheap to ask for again and again.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Encode qw(encode decode);
use Heartbeat::Test;
use JSON::PP;
use Test::More;

my $redis = redis();
my @main = ([ heartbeat_zone => '1m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '200ms' ]);
my $LATE = Heartbeat::Server::sanitized() ? 6 : 3;    # seconds: far more than flush and refresh

sub started {
    my (%o) = @_;
    return server(
        main => $o{main} // \@main,
        vhosts => [ {
            name => 'one.test',
            settings => [ [ heartbeat_ids => 'plain' ], [ heartbeat_session => 'arg:s', 'cookie:hb' ], [ heartbeat_user => 'header:X-User' ], @{ $o{settings} // [] } ],
            locations => {
                both_endpoints(),
                '/hb/online' => { endpoint => 'online', settings => $o{online} // [] },
                %{ $o{locations} // {} },
            },
        } ],
    )->start;
}

sub encoded { return join '', map { sprintf '%%%02X', ord } split //, $_[0] }
sub ask { my ($server, $query, %o) = @_; return $server->fetch('GET', '/hb/online' . ($query ? "?$query" : ''), %o) }
sub list { my ($server, $query) = @_; my $r = ask($server, $query); return $r && $r->status == 200 ? decode_json($r->body) : undef }
sub ids { my ($list) = @_; return join ' ', sort map { $_->{id} } @{ $list->{online} } }
sub shows { my ($server, $ids, $query, $seconds) = @_; return eventually { ids(list($server, $query)) eq $ids } $seconds // $LATE }
sub answers { my ($server) = @_; return eventually { my $list = list($server); defined $list } }
sub counts { my ($server, $count) = @_; return eventually { my $list = list($server); $list && $list->{count} == $count } $LATE }
# Not in the same moment as a request: the event MPM of httpd, told to stop, closes connections that are closing.
sub stopped { sleep 0.3; return $_[0]->stop }
sub forget_all { $redis->call('FLUSHALL') }

# Asks a real parser.
sub xpath {
    my ($xml, $path) = @_;
    my $file = workplace() . '/answer.xml';
    open my $out, '>:raw', $file or die $!;
    print $out $xml;
    close $out;
    my $value = `xmllint --xpath '$path' $file 2>&1`;
    chomp $value;
    return $value;
}

plan skip_all => 'xmllint is missing: apt-get install libxml2-utils' if !`sh -c 'command -v xmllint'`;

subtest 'every format says the same' => sub {
    my $server = started();
    my $asked = now_ms();
    $server->ping('alice', headers => ['X-User: Alice']);
    sleep 0.05;
    $server->ping('bob');
    ok(shows($server, 'alice bob'), 'both are there') or diag explain list($server);

    my $r = ask($server, 'format=json');
    is($r->header('content-type'), 'application/json', 'JSON');
    my $json = decode_json($r->body);
    is_deeply([ @$json{qw(count users listed)} ], [ 2, 1, 2 ], 'the totals');
    is_deeply([ map { $_->{id} } @{ $json->{online} } ], [qw(bob alice)], 'the latest arrival first');
    my ($bob, $alice) = @{ $json->{online} };
    is($bob->{user}, undef, 'no user');
    is($bob->{name}, 'bob', 'then the id is the name');
    is($alice->{name}, 'Alice', 'else the user is');
    is($alice->{active}, JSON::PP::false, 'a ping is no activity');
    ok(seen_right($alice->{$_}, $asked, now_ms()), "$_ is a time") for qw(since last);
    ok(seen_right($json->{at}, $asked, now_ms()), 'and so is that of the list');

    $r = ask($server, 'format=xml');
    is($r->header('content-type'), 'application/xml; charset=utf-8', 'XML');
    is(xpath($r->body, 'string(/online/@count)'), 2, 'count');
    is(xpath($r->body, 'string(/online/session[@id="alice"]/@name)'), 'Alice', 'name');
    is(xpath($r->body, 'string(/online/session[@id="alice"]/@since)'), $alice->{since}, 'since');

    $r = ask($server, 'format=html');
    is($r->header('content-type'), 'text/html; charset=utf-8', 'HTML');
    like($r->header('content-security-policy'), qr/default-src 'none'/, 'that needs nothing');
    unlike($r->body, qr/<script|<style|style=|onload|src=/i, 'and has nothing');
    like($r->body, qr/<html lang=/, 'says its language');
    like($r->body, qr{<th scope="row"><bdi>Alice</bdi></th><td><bdi>alice</bdi>}, 'a row');

    $r = ask($server, 'format=text');
    is($r->header('content-type'), 'text/plain; charset=utf-8', 'text');
    my @lines = split /\n/, $r->body;
    like($lines[0], qr/^# count 2, users 1, listed 2, at \d{4}-\d\d-\d\dT[\d:.]+Z$/, 'the totals');
    is_deeply([ map { [ (split /\t/)[ 0 .. 2, 5 ] ] } @lines[ 1, 2 ] ], [ [ 'bob', 'bob', '', 'idle' ], [ 'Alice', 'alice', 'Alice', 'idle' ] ], 'a line each');

    $server->ping('bob', target => '/hb/ping?a=1');
    ok(eventually(sub { my ($b) = grep { $_->{id} eq 'bob' } @{ list($server)->{online} }; $b->{active} }, $LATE), 'a human did something');
    for my $format (qw(json xml html text)) {
        is(ask($server, "format=$format")->header('x-content-type-options'), 'nosniff', "$format is what it says");
    }
    stopped($server);
};

subtest 'the format that the client prefers' => sub {
    my $server = started();
    ok(answers($server), 'an answer');
    my %wanted = (
        '' => 'json', '*/*' => 'json', 'application/json' => 'json', 'application/xml' => 'xml', 'text/plain' => 'text',
        'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' => 'html',
        'text/plain;q=0.5, application/xml;q=0.7' => 'xml', 'text/*' => 'html', 'image/png' => 'json',
        'application/json;q=0, */*;q=0.1' => 'xml', 'TEXT/HTML; level=1' => 'html',
    );
    for my $accept (sort keys %wanted) {
        my $r = ask($server, '', headers => [ $accept ? "Accept: $accept" : () ]);
        like($r->header('content-type'), { json => qr/json/, xml => qr/xml/, html => qr/html/, text => qr/plain/ }->{ $wanted{$accept} }, "$accept: $wanted{$accept}");
        like($r->header('vary'), qr/\bAccept\b/, 'Vary says so');
    }
    like(ask($server, 'format=text', headers => ['Accept: text/html'])->header('content-type'), qr/plain/, 'the query has the last word');
    my $r = ask($server, 'format=yaml');
    is($r->status, 400, 'a format that we do not have');
    like($r->body, qr/json, xml, html or text/, 'we say which there are');
    stopped($server);
};

subtest 'names of every kind' => sub {
    forget_all();
    my $server = started();
    my %names = (
        markup => q{<script>alert("x")</script>&'}, quotes => q{"'\\`}, utf8 => encode('UTF-8', "Zo\x{eb} \x{65e5}\x{672c} \x{1f493}"),
        controls => "a\tb\nc\rd\x01\x1b[31m\x7fe", broken => "\xff\xfe\xc0\x80\xed\xa0\x80ok", cdata => ']]>', entity => '&lt;&#0;',
        separators => encode('UTF-8', "x\x{2028}y\x{2029}z\x{85}"), blank => ' ',
    );
    is($server->fetch('HEAD', '/hb/ping?s=' . encoded($_))->status, 204, 'a session') for values %names;
    ok(counts($server, scalar keys %names), 'all are there') or diag explain list($server);

    my $r = ask($server, 'format=json');
    ok(eval { decode('UTF-8', my $copy = $r->body, Encode::FB_CROAK); 1 }, 'JSON is UTF-8');
    unlike($r->body, qr/<|\x7f|\xe2\x80\xa8/, 'without what other languages trip over');
    my %got = map { $_->{name} => 1 } @{ decode_json($r->body)->{online} };
    ok($got{ decode('UTF-8', $names{$_}) }, "JSON: $_ is as it was") for grep { $_ ne 'broken' } sort keys %names;
    ok($got{"\x{fffd}\x{fffd}\x{fffd}\x{fffd}\x{fffd}\x{fffd}\x{fffd}ok"}, 'JSON: what is no UTF-8 is replaced');

    $r = ask($server, 'format=xml');
    is(xpath($r->body, 'count(/online/session)'), scalar keys %names, 'XML: well-formed');
    is(xpath($r->body, 'count(//script)'), 0, 'XML: no tag of theirs');
    is(xpath($r->body, "string(//session[contains(\@name,\"alert\")]/\@name)"), $names{markup}, 'XML: markup is as it was');
    is(xpath($r->body, "count(//session[contains(\@name,\"\n\")])"), 1, 'XML: a line end is as it was');

    $r = ask($server, 'format=html');
    unlike($r->body, qr/<script|&lt;&#0;/, 'HTML: nothing of theirs');
    like($r->body, qr/&lt;script&gt;alert\(&quot;x&quot;\)&lt;\/script&gt;&amp;&#39;/, 'HTML: but shown');

    my @lines = split /\n/, ask($server, 'format=text')->body, -1;
    is(scalar @lines, 2 + keys %names, 'text: one line each');
    is(scalar(grep { tr/\t// != 5 } @lines[ 1 .. $#lines - 1 ]), 0, 'text: of six columns');
    unlike(join('', @lines), qr/[\x00-\x08\x0b-\x1f\x7f]|\xe2\x80\xa8/, 'text: nothing that moves about');
    stopped($server);
};

subtest 'within and limit' => sub {
    forget_all();
    my $server = started();
    $server->ping("old$_") for 1 .. 3;
    sleep 2.5;
    $server->ping("new$_") for 1 .. 2;
    ok(shows($server, 'new1 new2 old1 old2 old3'), 'five sessions');
    my $list = list($server, 'within=2');
    is(ids($list), 'new1 new2', 'seen within two seconds');
    is_deeply([ @$list{qw(count listed)} ], [ 2, 2 ], 'counted');
    is(list($server, "within=$_")->{count}, 5, "within=$_") for 60, 61, 3600, 315360000;
    $list = list($server, 'limit=2');
    is(ids($list), 'new1 new2', 'the two that were seen last');
    is_deeply([ @$list{qw(count listed)} ], [ 5, 2 ], 'of five');
    is_deeply([ @{ list($server, 'limit=0') }{qw(count listed)} ], [ 5, 0 ], 'just the number');
    is(list($server, 'limit=1000000')->{listed}, 5, 'as many as there are');
    for my $query (qw(within=0 within=-1 within=x within=1s within=99999999999999999999 limit=x limit=-1 limit=99999999999999999999999)) {
        my $r = ask($server, $query);
        is($r->status, 400, "$query: 400");
        is($r->header('cache-control'), 'no-store', 'not to be kept');
    }
    my $r = ask($server, 'format=json&within=x');
    ok(eval { decode_json($r->body)->{error} }, 'JSON where JSON was asked for');
    like(ask($server, 'within=x')->header('content-type'), qr{text/plain}, 'else a line for people');
    stopped($server);
};

subtest 'asked again' => sub {
    forget_all();
    my $server = started();
    $server->ping($_) for qw(alice bob);
    ok(shows($server, 'alice bob'), 'two sessions');
    my $r = ask($server);
    is($r->header('cache-control'), 'no-cache', 'may be kept, but asks each time');
    my $tag = $r->header('etag');
    like($tag, qr{^W/"[^"]+"$}, 'a weak tag');
    sleep 0.5;
    $server->ping('alice');
    sleep 1;
    for my $header ($tag, $tag =~ s/^W\///r, qq("x", $tag), '*', $tag =~ s/"$/-gzip"/r, qq(W/"a,b" , $tag)) {
        my $again = ask($server, '', headers => ["If-None-Match: $header"]);
        is($again->status, 304, "If-None-Match: $header: 304, though alice was seen again");
        is($again->body, '', 'no body');
        is($again->header('etag'), $tag, 'ETag');
        is($again->header('cache-control'), 'no-cache', 'Cache-Control');
        like($again->header('vary'), qr/Accept/, 'Vary');
    }
    is(ask($server, '', headers => ['If-None-Match: "x"'])->status, 200, 'another tag');
    is(ask($server, 'format=xml', headers => ["If-None-Match: $tag"])->status, 200, 'another format');
    my $c = $server->connect;
    is($c->request('GET', '/hb/online', headers => ["If-None-Match: $tag"])->status, 304, 'on a kept connection');
    is($c->request('GET', '/hb/online')->status, 200, 'that goes on');
    $server->ping('carol');
    ok(eventually(sub { ask($server, '', headers => ["If-None-Match: $tag"])->status == 200 }, $LATE), 'somebody came: 200');
    my $before = ask($server)->header('etag');
    $server->ping('carol', target => '/hb/ping?a=1');
    ok(eventually(sub { ask($server)->header('etag') ne $before }, $LATE), 'somebody became active: another tag');
    stopped($server);
};

subtest 'methods' => sub {
    my $server = started();
    ok(answers($server), 'an answer');
    my $c = $server->connect;
    my $head = $c->request('HEAD', '/hb/online');
    is($head->status, 200, 'HEAD');
    is($c->rest(0.2), '', 'without a body');
    my $get = $c->request('GET', '/hb/online');
    is($head->header($_), $get->header($_), "HEAD has the $_ of GET") for qw(content-type etag cache-control vary);
    for my $method (qw(POST PUT DELETE)) {
        my $r = $server->fetch($method, '/hb/online', body => 'x=1');
        is($r->status, 405, "$method: 405");
        like($r->header('allow'), qr/^(?:GET, HEAD|HEAD, GET)$/, 'Allow');
    }
    my $old = $server->connect;
    my $r = $old->request('GET', '/hb/online', version => '1.0');
    is($r->status, 200, 'HTTP/1.0');
    ok(decode_json($r->body), 'whole');
    ok(defined $old->until_closed(2), 'and closes');
    stopped($server);
};

subtest 'other origins' => sub {
    forget_all();
    my $server = started(online => [ [ heartbeat_origin => 'https://shop.example' ] ], locations => { '/open' => { endpoint => 'online', settings => [ [ heartbeat_origin => '*' ] ] } });
    ok(answers($server), 'an answer');
    my $r = ask($server, '', headers => ['Origin: https://shop.example']);
    is($r->header('access-control-allow-origin'), 'https://shop.example', 'an allowed origin');
    is($r->header('access-control-allow-credentials'), 'true', 'with credentials');
    like($r->header('vary'), qr/Origin/, 'Vary');
    my $again = ask($server, '', headers => [ 'Origin: https://shop.example', 'If-None-Match: ' . $r->header('etag') ]);
    is($again->status, 304, 'a client that has it');
    like($again->header('vary'), qr/Origin/, 'with Vary');
    is($again->header('access-control-allow-origin'), 'https://shop.example', 'and CORS');
    is(ask($server, '', headers => ['Origin: https://evil.example'])->header('access-control-allow-origin'), undef, 'another origin');
    is(ask($server, 'limit=x', headers => ['Origin: https://shop.example'])->header('access-control-allow-origin'), 'https://shop.example', 'errors can be read too');
    is($server->fetch('GET', '/open', headers => ['Origin: https://evil.example'])->header('access-control-allow-origin'), '*', 'open to all');
    $r = $server->fetch('OPTIONS', '/hb/online', headers => [ 'Origin: https://shop.example', 'Access-Control-Request-Method: GET' ]);
    is($r->status, 204, 'preflight');
    like($r->header('access-control-allow-methods'), qr/GET/, 'methods');
    stopped($server);
};

subtest 'ids as Redis shows them' => sub {
    forget_all();
    my $server = started(settings => [ [ heartbeat_ids => 'hash' ] ]);
    $server->ping('s3cret-id');
    ok(counts($server, 1), 'one session');
    my $id = list($server)->{online}[0]{id};
    is_deeply([ keys %{ $redis->all_seen('one.test') } ], [$id], 'the id is that of Redis');
    unlike(ask($server, "format=$_")->body, qr/s3cret-id/, "$_: not the session's own") for qw(json xml html text);
    stopped($server);
};

subtest 'two hosts' => sub {
    forget_all();
    my ($here, $there) = map { started(settings => [ [ heartbeat_timeout => '5s' ], [ heartbeat_interval => '1s' ] ]) } 1, 2;
    ok(answers($_), 'both answer') for $here, $there;
    $here->ping('alice');
    $there->ping('bob');
    ok(shows($_, 'alice bob', '', 2), 'both show both') or diag explain list($_) for $here, $there;
    my ($r1, $r2) = map { ask($_) } $here, $there;
    is($r1->header('etag'), $r2->header('etag'), 'one list, one tag');
    ok(eventually(sub { $here->ping('alice'); sleep 0.3; ids(list($there)) eq 'alice' }, 10), 'bob fell silent, alice did not');
    stopped($_) for $here, $there;
};

subtest 'silence' => sub {
    forget_all();
    my $server = started(settings => [ [ heartbeat_timeout => '2s' ], [ heartbeat_interval => '1s' ] ]);
    $server->ping('alice');
    my $start = time;
    ok(shows($server, 'alice'), 'online');
    ok(shows($server, '', '', 6), 'offline');
    cmp_ok(time - $start, '>', 1.8, 'not before the timeout');
    stopped($server);
};

subtest 'memory only' => sub {
    my $server = started(main => [ [ heartbeat_zone => '1m' ] ], settings => [ [ heartbeat_timeout => '2s' ], [ heartbeat_interval => '1s' ] ]);
    ok(answers($server), 'an answer') or diag ask($server)->body;
    is(list($server)->{count}, 0, 'nobody');
    my $asked = now_ms();
    $server->ping($_, headers => ["X-User: \u$_"]), sleep 0.01 for qw(alice bob);
    ok(shows($server, 'alice bob'), 'both');
    is(list($server)->{users}, 2, 'two users');
    is(list($server)->{online}[0]{name}, 'Bob', 'with their names');
    is_deeply([ map { $_->{id} } @{ list($server)->{online} } ], [qw(bob alice)], 'the latest arrival first');
    ok(seen_right(list($server)->{online}[0]{last}, $asked, now_ms()), 'seen now');
    my $tag = ask($server)->header('etag');
    is(ask($server, '', headers => ["If-None-Match: $tag"])->status, 304, 'a client that has it');
    ok(shows($server, '', '', 6), 'silent: offline');
    is(ask($server, "format=$_")->status, 200, "an empty list as $_") for qw(json xml html text);
    stopped($server);

    $server = started(main => [ [ heartbeat_zone => '1m' ] ], settings => [ [ heartbeat_ids => 'hash' ] ]);
    $server->ping('s3cret-id');
    ok(counts($server, 1), 'one session');
    like(list($server)->{online}[0]{id}, qr/^[0-9a-f]{32}$/, 'hashed');
    stopped($server);
};

subtest 'more than fit into the list' => sub {
    my $server = started(main => [ [ heartbeat_zone => '16m' ], [ heartbeat_flush => '200ms' ] ]);
    ok(answers($server), 'an answer');
    my $c = $server->connect;
    for my $block (1 .. 30) {
        $c->send(join '', map { $c->request_bytes('HEAD', "/hb/ping?s=s$block-$_") } 1 .. 50);
        $c->response('HEAD') for 1 .. 50;
    }
    ok(counts($server, 1500), 'all are counted') or diag list($server)->{count};
    is(list($server)->{listed}, 100, 'a hundred are listed');
    is(list($server, 'limit=1000')->{listed}, 500, 'five hundred at most');
    is(list($server, 'within=60')->{count}, 1500, 'within a minute');
    stopped($server);
};

subtest 'Redis goes away and comes back' => sub {
    forget_all();
    my $way = proxy(to => $redis->port);
    my $server = started(main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $way->url ], [ heartbeat_flush => '200ms' ] ]);
    my $other = started();
    $other->ping('elsewhere');
    $server->ping('alice');
    ok(shows($server, 'alice elsewhere'), 'from Redis: those of other hosts too');
    $way->mode('refuse');
    $server->ping('bob');
    ok(shows($server, 'alice bob', '', 8), 'without it: those of this host') or diag explain list($server);
    ok(seen_right($_->{last}, now_ms() - 15000, now_ms()), 'with times that are right') for @{ list($server)->{online} };
    $way->mode('pass');
    ok(shows($server, 'alice bob elsewhere', '', 12), 'back again') or diag explain list($server);
    stopped($_) for $server, $other;
};

subtest 'polls cost Redis nothing' => sub {
    forget_all();
    my $server = started();
    $server->ping('alice');
    ok(shows($server, 'alice'), 'one session');
    my $commands = sub { $redis->call('INFO', 'stats') =~ /total_commands_processed:(\d+)/ ? $1 : 0 };
    my $count = sub { my $before = $commands->(); my $code = shift; $code->(); $commands->() - $before };
    my $idle = $count->(sub { sleep 2 });
    my $polls = 0;
    my $busy = $count->(sub {
        my $c = $server->connect;
        my $end = time + 2;
        $c->request('GET', '/hb/online?limit=' . $polls % 50), ++$polls while time < $end;
    });
    cmp_ok($polls, '>', 200, "$polls polls");
    cmp_ok($busy, '<', $idle * 2 + 50, "took $busy commands, $idle while idle");
    stopped($server);
};

subtest 'through a reload' => sub {
    forget_all();
    my $server = started();
    $server->ping('alice');
    ok(shows($server, 'alice'), 'online');
    $server->reload;
    my @statuses = map { sleep 0.05; ask($server)->status } 1 .. 20;
    is_deeply([ grep { $_ != 200 } @statuses ], [], 'always an answer');
    is(ids(list($server)), 'alice', 'the same');
    $server->{vhosts}[0]{locations}{'/late'} = { endpoint => 'online', settings => [ [ heartbeat_site => 'late' ] ] };
    $server->{vhosts}[0]{locations}{'/ping-late'} = { endpoint => 'ping', settings => [ [ heartbeat_site => 'late' ] ] };
    $server->reload;
    ok(eventually(sub { my $r = $server->fetch('GET', '/late'); $r->status == 200 && decode_json($r->body)->{count} == 0 }), 'another site, nobody there');
    $server->ping('bob', target => '/ping-late');
    ok(eventually(sub { ids(decode_json($server->fetch('GET', '/late')->body)) eq 'bob' }, $LATE), 'then somebody');
    is(ids(list($server)), 'alice', 'each site its own');
    stopped($server);
};

no_bad_log_lines();
done_testing;
