# What a page recorded arrives: every transport by every way of leaving, and what is killed loses no more than two seconds.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Browser;
use Heartbeat::Test;
use Heartbeat::Token;
use IO::Uncompress::Gunzip qw(gunzip);
use JSON::PP;
use Test::More;

my @ORDERS = split / /, $ENV{HEARTBEAT_ORDERS} // 'default fetchLater beacon fetch image';
my @GROUPS = split / /, $ENV{HEARTBEAT_LEAVING} // 'pages cache closed ended killed';
my $json = JSON::PP->new->utf8->allow_nonref;
my $key = Heartbeat::Token::key_file(workplace(), 'token.key', 'a secret of this test, 32 bytes or more');
my $redis = redis();

my $RECORDS = <<'END';
<p><a id="same" href="/other.html">Here</a> <a id="other" href="OTHER/other.html">There</a>
<script>
const run = location.hash.slice(1);
const note = (item) => heartbeat.record({ run, item });
note("begun");
const last = (item) => {
  const own = `ledger ${run}:${item}`; // two more accounts of it
  console.log(own);
  localStorage.ledger = [localStorage.ledger, own].join(" ");
  note(item);
};
document.addEventListener("visibilitychange", () => document.hidden && last("hidden"));
addEventListener("pagehide", () => last("pagehide"));
addEventListener("pageshow", ({ persisted }) => { window.restored = persisted; });
</script>
END

sub pages {
    my ($server) = @_;
    my $records = $RECORDS =~ s{OTHER}{'http://other.test:' . $server->port}er;
    my %pages = map { ("/$_.html" => page('', $records) =~ s/client\.js/$_.js/r) } @ORDERS, qw(default image);
    $pages{'/off.html'} = page('data-start="off"', $records);
    $pages{'/quiet.html'} = page('');
    $pages{'/begin.html'} = page('', '<p><a id="next" href="/quiet.html">Next</a>') =~ s/client\.js/image.js/r;
    $pages{'/other.html'} = "<!doctype html>\n<title>Other</title>\n<p>Another page.\n";
    $pages{'/elsewhere.html'} = $pages{'/default.html'} =~ s{/hb/default\.js}{'https://hb.test:' . $server->tls_port . '/hb/client.js'}er;
    my $policy = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'";
    $pages{'/strict.html'} = page('') =~ s{<script}{<meta http-equiv="Content-Security-Policy" content="$policy">\n<script}r;
    return \%pages;
}

sub elsewhere {
    my ($server) = @_;
    my $origin = [ heartbeat_origin => 'http://127.0.0.1:' . $server->port ];
    return {
        name => 'hb.test', tls => 1,
        settings => [ [ heartbeat_key_file => $key ], $origin ],
        locations => { map { ("/hb/$_->[0]" => { endpoint => $_->[1] }) } [ 'client.js', 'script' ], [ping => 'ping'], [beacon => 'beacon'] },
    };
}

my $server = site(
    tls => 1, others => \&elsewhere, pages => \&pages,
    main => [ [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '100ms' ], [ heartbeat_spool => workplace() . '/spool' ] ],
    settings => [ [ heartbeat_key_file => $key ] ],
    locations => {
        '/hb/beacon' => { endpoint => 'beacon' },
        map { ("/hb/$_.js" => { endpoint => 'script', settings => $_ eq 'default' ? [] : [ [ heartbeat_transports => $_ ] ] }) } @ORDERS, qw(default image),
    },
);

# The items of a page view, from its batches: an array each, or a part of one that goes on.
sub items {
    my ($batches) = @_;
    my ($text, @items) = ('');
    for my $number (sort { $a <=> $b } keys %$batches) {
        my $payload = $batches->{$number};
        if ($payload =~ /^\x1f\x8b/) { gunzip(\(my $packed = $payload) => \$payload) }
        $text .= $payload;
        my $array = eval { $json->decode($text) } // next;
        push @items, @$array;
        $text = '';
    }
    return \@items;
}

my %run_of; # a page view is of one run: of those of the others no more need be read
sub everything { my ($what) = @_; return map { @{ $redis->call('KEYS', "hb:{$_}:$what:*") } } '127.0.0.1', 'hb.test' }
sub hash { return { @{ $redis->call('HGETALL', $_[0]) } } }

sub ledger {
    my ($run) = @_;
    my (@items, @views);
    for my $key (grep { ($run_of{$_} // $run) eq $run } everything('batch')) {
        my @own = grep { ref eq 'HASH' && $_->{run} eq $run } @{ items(hash($key)) };
        next if !@own;
        $run_of{$key} = $run;
        push @items, map { $_->{item} } @own;
        push @views, hash($key =~ s/:batch:/:view:/r);
    }
    return { items => \@items, views => \@views };
}

my $script = '10-leaving.mjs';
in_browser(-e "$FindBin::Bin/$script" ? $script : "../$script", $server, given => { orders => \@ORDERS, times => $ENV{HEARTBEAT_TIMES} // 1, groups => \@GROUPS },
    calls => { ledger => \&ledger, views => sub { [ map { hash($_) } everything('view') ] } });
no_bad_log_lines();
done_testing;
